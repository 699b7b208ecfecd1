"""Keys together with what they seal: a hall's key ring, its projects' blobs and its secrets.

A project's key is rotated in steps, each of them durable: a new generation, with which all is sealed from then on;
every data key wrapped by it, one after the other; and at last the older generations forgotten. Killed anywhere, all
can be read, and the next rotation does what is left. No content is written again.
"""

from __future__ import annotations

from collections.abc import Callable

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.secrets.folder import FolderSecrets
from modelhall.core.errors import NotNow
from modelhall.core.failpoints import reach
from modelhall.core.kinds.base import Frozen
from modelhall.core.names import is_name
from modelhall.core.ports.blobs import Blobs
from modelhall.settings import Settings
from modelhall.trust.keys import KeyRing


class Generation(Frozen):
    """One key of a project; what it is stays in the hall."""

    project: str
    id: str
    made_at: float
    newest: bool
    """Whether it is the one that seals from now on."""


class Shown(Frozen):
    """The keys of a hall, without any of them."""

    root: str
    """The id of the root key; empty when nothing was ever sealed."""
    keys: tuple[Generation, ...]


class Rotated(Frozen):
    """What a rotation did."""

    id: str
    """Of the key that seals, or wraps, from now on."""
    rewrapped: int = 0
    """Data keys of blobs and secrets that were wrapped anew."""
    forgotten: int = 0
    """Older generations that are no more."""


class Deleted(Frozen):
    """What became unreadable."""

    keys: int


class Keys:
    """The keys of one hall, and what is to be done with them. Synchronous: called from threads."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        """Raises Rejected when the root key is not to be had."""
        self._settings = settings
        self.ring = open_ring(settings, now)
        self.secrets = FolderSecrets(settings.home / "secrets", self.ring.keys_of)

    def blobs(self, project: str) -> Blobs:
        """The blobs of a project."""
        return blobs_of(self._settings, self.ring, project)

    def stored(self) -> dict[str, int]:
        """How many bytes each project's blobs take."""
        blobs = blobs_by_project(self._settings, self.ring)
        return {
            project: sum(blob.size_bytes for blob in its.all()) for project, its in blobs.items() if project
        }

    def show(self) -> Shown:
        """Which keys there are."""
        found = self.ring.show()
        keys = [
            Generation(project=project, id=key.id, made_at=key.made_at, newest=key is generations[-1])
            for project, generations in sorted(found.projects.items())
            for key in generations
        ]
        return Shown(root=found.root, keys=tuple(keys))

    def rotate_root(self) -> Rotated:
        """Have a new root key wrap the projects' keys. Raises Rejected when it comes from elsewhere, NotNow."""
        with self.ring.standing(changing=True):
            return Rotated(id=self.ring.rotate_root())

    def renew(self, project: str) -> Rotated:
        """Seal with a new key from now on, and wrap with it what is there. Raises NotFound, NotNow."""
        with self.ring.standing(changing=True):
            id = self.ring.add(project)
            reach("keys.generation-added")
            count = self.blobs(project).rewrap()
            reach("keys.blobs-rewrapped")
            count += files_of(self._settings, self.ring, project).rewrap()
            count += self.secrets.rewrap(project)
            reach("keys.secrets-rewrapped")
            return Rotated(id=id, rewrapped=count)

    def retire(self, project: str) -> int:
        """Forget all but the newest key of a project, when nothing is wrapped by them any more and nobody who has
        them may still seal with them; how many. What cannot be done now is done at the next rotation."""
        try:
            with self.ring.standing(changing=True):
                self.blobs(project).rewrap()
                files_of(self._settings, self.ring, project).rewrap()
                self.secrets.rewrap(project)
                count = self.ring.retire(project)
                reach("keys.retired")
                return count
        except NotNow:
            return 0

    def delete(self, project: str) -> Deleted:
        """Forget all keys of a project: nothing that is sealed with them is readable ever again. Raises NotFound,
        NotNow."""
        with self.ring.standing(changing=True):
            count = self.ring.delete(project)
            reach("keys.deleted")
            return Deleted(keys=count)


def open_ring(settings: Settings, now: Callable[[], float], *, make: bool = True) -> KeyRing:
    """The key ring of a hall; with `make` it gets what it lacks. Raises Rejected when the root key is not to be
    had."""
    return KeyRing(
        settings.home / "keys",
        source=settings.root_key,
        before=settings.root_key_before,
        seals=settings.seal and make,
        now=now,
    )


def blobs_of(settings: Settings, ring: KeyRing, project: str, *, make: bool = True) -> Blobs:
    """The blobs of a project; with `make` it gets a key if it has none."""
    return open_blobs(f"{settings.blobs}/{project}", ring.keys_of(project, make=make))


def files_of(settings: Settings, ring: KeyRing, project: str) -> Blobs:
    """The contents of what a project's callers keep here (see `shelf.py`), sealed as its blobs are."""
    return open_blobs(f"folder://{settings.home / 'files' / 'blobs'}/{project}", ring.keys_of(project))


def blobs_by_project(settings: Settings, ring: KeyRing) -> dict[str, Blobs]:
    """The blobs of every project that has any, and maybe of some that have none. Under "" those from before blobs
    were kept apart by project, which are not sealed."""
    names = sorted(path.name for path in (settings.home / "blobs").iterdir() if is_name(path.name))
    projects = {name: blobs_of(settings, ring, name, make=False) for name in names}
    return {"": open_blobs(settings.blobs), **projects}
