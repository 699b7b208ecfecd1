"""The key ring: every project's keys, in HOME/keys/projects.json, wrapped by the root key.

    projects.json   id, age and wrapped key of each generation of each project; replaced as a whole, durably
    root.key        the root key, unless `root_key` says that it comes from elsewhere (see `root_key.py`)
    root.next       for an instant, while the root key is rotated

The file is read whenever a key is asked for, so a key that was deleted is gone for everybody at once. What is sealed
with these keys, and is to be wrapped anew when they change, is left to `app/keys.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from modelhall.core import file_lock, files, sealing
from modelhall.core.errors import NotFound, NotNow, Rejected
from modelhall.core.failpoints import reach
from modelhall.core.sealing import KeySet
from modelhall.trust import private_file, root_key
from modelhall.trust.wrapped_keys import ProjectKey, Wrapped, read_wrapped, root_set, unwrapped, wrapped

PROJECTS, ROOT, NEXT, LOCK, STANDING = (
    "projects.json",
    "root.key",
    "root.next",
    "projects.lock",
    "standing.lock",
)
LONGEST_WAIT_S = 10.0
RETRY_S = 30.0


class KeyRing:
    """The keys of one hall; several processes may have one over the same folder."""

    def __init__(
        self,
        folder: Path,
        *,
        source: str = "",
        before: str = "",
        seals: bool = True,
        now: Callable[[], float],
    ) -> None:
        """Take the root key from `source`; when it is a new one, `before` says where the one before comes from, and
        all keys are wrapped anew. With `seals` projects get keys when they are first asked for. Raises Rejected when
        the root key is not to be had, or is not the one of this hall."""
        self._folder = folder
        self._source = source
        self._seals = seals
        self._now = now
        self._root: KeySet | None = None
        if not seals and not (folder / PROJECTS).exists():
            return
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.sync_folder(folder.parent)
        with files.room(f"the keys in {folder}"), self._alone():
            self._begin(before)

    def keys_of(self, project: str, *, make: bool = True) -> KeySet | None:
        """The keys of a project; when it has none, one is made if the hall seals and `make` says so."""
        if self._root is None:
            return None
        found = self._read()
        make = make and self._seals and project not in found.projects
        if make or found.root != self._id:
            with self._alone():
                found = self._with(project) if make else self._read()
                self._take_root(found)
        keys = found.projects.get(project)
        if not keys:
            return None
        return KeySet(
            of=f"project {project}",
            newest=keys[-1].id if self._seals else None,
            keys={key.id: unwrapped(key, self._root, project) for key in keys},
        )

    def show(self) -> Wrapped:
        """What there is; the keys in it are wrapped."""
        return self._read() if self._root is not None else Wrapped(root="", projects={})

    def add(self, project: str) -> str:
        """A new generation, with which all is sealed from now on; its id. Raises NotFound when there is none yet."""
        with self._changing(project):
            return self._add(project).id

    def retire(self, project: str) -> int:
        """Forget all generations but the newest, for good; how many. Nothing may be sealed with them any more."""
        with self._changing(project) as keys:
            self._write({project: keys[-1:]})
            return len(keys) - 1

    def delete(self, project: str) -> int:
        """Forget all keys of a project, for good; how many there were. Raises NotFound when there are none."""
        with self._changing(project) as keys:
            self._write({project: ()})
            return len(keys)

    def rotate_root(self) -> str:
        """Wrap all keys by a new root key; its id. Killed at any instant, the hall has the old one or the new one.
        Raises Rejected when the root key comes from elsewhere."""
        if self._source:
            raise Rejected(
                f"the root key of this hall comes from elsewhere ({self._source.partition(':')[0]}); to change it, "
                "set `root_key` to the new one and `root_key_before` to the old one, and start the hall again"
            )
        with self._alone():
            key = sealing.new_key()
            with files.room(f"a root key in {self._folder}"):
                private_file.replace(self._folder / NEXT, root_key.written(key))
            reach("keys.root-written")
            self._take_root(self._read())
            self._rewrap(root_set(key))
            reach("keys.root-wrapped")
            self._settle(key)
            reach("keys.root-replaced")
            return sealing.id_of(key)

    @contextlib.contextmanager
    def standing(self, *, changing: bool = False) -> Iterator[None]:
        """While it is held, no key that anything may be sealed with goes; only whoever is `changing` them may have
        one go, and is alone then. Raises NotNow."""
        if self._root is None:
            yield
            return
        (self._folder / STANDING).touch(mode=0o600)
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(
                    file_lock.held(self._folder / STANDING, longest_wait_s=0, shared=not changing)
                )
            except NotNow:
                raise NotNow(
                    "a backup is being made, or keys are being rotated; try again when that is done",
                    delay_s=RETRY_S,
                ) from None
            yield

    def _begin(self, before: str) -> None:
        """Find the root key, and see that it is the one that wrapped what there is."""
        if not (self._folder / PROJECTS).exists():
            self._root = root_set(self._first_root())
            files.write_json(self._folder / PROJECTS, Wrapped(root=self._id, projects={}).model_dump(), 0o600)
            return
        found = self._read()
        if before and (new := root_set(root_key.read(self._source))).newest != found.root:
            self._root = root_set(root_key.read(before))
            self._check(found)
            self._rewrap(new)
        self._take_root(self._read())

    def _first_root(self) -> bytes:
        if self._source:
            return root_key.read(self._source)
        made = root_key.written(sealing.new_key())
        private_file.read_or_create(self._folder / ROOT, made)
        return root_key.read(f"{root_key.FILE}{self._folder / ROOT}")

    def _take_root(self, found: Wrapped) -> None:
        """Have the root key that wrapped this. Raises Rejected when it is not to be had."""
        if self._root is None or found.root != self._id:
            self._root = root_set(
                root_key.read(self._source) if self._source else self._root_here(found.root)
            )
            self._check(found)

    def _root_here(self, id: str) -> bytes:
        """The root key in the home. While it is rotated there are two, and the one that wrapped the keys counts."""
        path = self._folder / ROOT
        given = [key for name in (ROOT, NEXT) if (key := root_key.from_file(self._folder / name)) is not None]
        for key in given:
            if sealing.id_of(key) == id:
                self._settle(key)
                return key
        if not given:
            raise Rejected(
                f"the keys of this hall are wrapped by root key {id}, and {path} is not there; put it back, or name "
                "it with `root_key`: without it nothing that is sealed can be read",
                field="root_key",
            )
        return given[0]

    def _settle(self, key: bytes) -> None:
        """Have `root.key` be this key, and nothing else lie beside it."""
        if root_key.from_file(self._folder / ROOT) != key:
            private_file.replace(self._folder / ROOT, root_key.written(key))
        if (self._folder / NEXT).exists():
            (self._folder / NEXT).unlink()
            files.sync_folder(self._folder)

    def _check(self, found: Wrapped) -> None:
        if self._id != found.root:
            raise Rejected(
                f"the keys of this hall are wrapped by root key {found.root}, and the root key given is {self._id}; "
                "give the right one, or say with `root_key_before` where the one before comes from",
                field="root_key",
            )

    @property
    def _id(self) -> str:
        assert self._root is not None
        assert self._root.newest is not None
        return self._root.newest

    def _rewrap(self, root: KeySet) -> None:
        """Have all keys be wrapped by another root key, in one step."""
        before = self._root
        assert before is not None
        assert root.newest is not None
        projects = {
            project: tuple(
                wrapped(unwrapped(key, before, project), root, project, key.made_at) for key in keys
            )
            for project, keys in self._read().projects.items()
        }
        self._put(Wrapped(root=root.newest, projects=projects))
        self._root = root

    def _with(self, project: str) -> Wrapped:
        """What there is, with a key for this project."""
        if project not in self._read().projects:
            self._add(project)
        return self._read()

    def _add(self, project: str) -> ProjectKey:
        found = self._read()
        self._take_root(found)
        assert self._root is not None
        key = wrapped(sealing.new_key(), self._root, project, self._now())
        self._write({project: (*found.projects.get(project, ()), key)})
        return key

    @contextlib.contextmanager
    def _changing(self, project: str) -> Iterator[tuple[ProjectKey, ...]]:
        """The keys of a project, while nobody else changes any. Raises NotFound when it has none."""
        with self._alone() if self._root is not None else contextlib.nullcontext():
            keys = self.show().projects.get(project)
            if not keys:
                raise NotFound(
                    f"project {project!r} has no key; it gets one when it first has something to seal"
                )
            yield keys

    def _read(self) -> Wrapped:
        return read_wrapped(self._folder / PROJECTS)

    def _write(self, changes: dict[str, tuple[ProjectKey, ...]]) -> None:
        found = self._read()
        projects = {project: keys for project, keys in {**found.projects, **changes}.items() if keys}
        self._put(found.model_copy(update={"projects": projects}))

    def _put(self, all_of_it: Wrapped) -> None:
        with files.room(f"the keys in {self._folder}"):
            files.write_json(self._folder / PROJECTS, all_of_it.model_dump(), 0o600)

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from changing the keys."""
        return file_lock.held(self._folder / LOCK, longest_wait_s=LONGEST_WAIT_S)
