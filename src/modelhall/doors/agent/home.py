"""What an agent keeps on its machine, in a folder that only its user can enter.

node.json     the hall's address, this node's name, the token it shows
ca.pem        who vouches for the hall, where it has an authority of its own
lock          held while an agent is at work
known/UID     of which run each folder below runs/ is
runs/, blobs/, cache/
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.names import Name

FOLDER = "agent"
"""Within the home."""


class Membership(Frozen):
    """As which node a machine has joined which hall."""

    hall: str
    """URL of its API."""
    name: Name
    token: str


class KnownRun(Frozen):
    """Of which run a folder is."""

    project: Name
    run: Name


class AgentHome:
    """The folder of one agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for below in ("known", "runs", "blobs", "cache"):
            (folder / below).mkdir(exist_ok=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only agent here. Raises Rejected when there is one."""
        with (self.folder / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Rejected(
                    f"an agent is at work in {self.folder} already; --home chooses another folder"
                ) from None
            yield

    @property
    def membership(self) -> Membership | None:
        """None before it has joined."""
        found = files.read_json(self.folder / "node.json")
        return None if found is None else Membership.model_validate(found)

    def remember(self, membership: Membership, ca: str | None) -> None:
        """Keep what was agreed, durably."""
        if ca is not None:
            files.write_bytes(self.ca, ca.encode())
        files.write_json(self.folder / "node.json", membership.model_dump(), 0o600)

    def know(self, uid: str, run: KnownRun) -> None:
        """Keep of which run the folder of this uid is, durably, before there is any."""
        path = self.folder / "known" / uid
        if not path.exists():
            files.write_json(path, run.model_dump())

    def known(self) -> dict[str, KnownRun]:
        """By their uids."""
        found = {}
        for path in (self.folder / "known").iterdir():
            if not path.name.startswith("."):
                found[path.name] = KnownRun.model_validate(json.loads(path.read_bytes()))
        return found

    def forget(self, uid: str) -> None:
        (self.folder / "known" / uid).unlink(missing_ok=True)

    def attempts(self, uid: str) -> list[int]:
        """The numbers of the attempts of a run that have been here."""
        names = (path.name for path in (self.folder / "runs" / uid).glob("*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def state(self, uid: str) -> Path:
        """What the attempts of a run leave to the next one."""
        return self.folder / "runs" / uid / "state"

    def blobs(self, project: str) -> Path:
        """The contents of a project that are here."""
        return self.folder / "blobs" / project

    def projects(self) -> list[str]:
        """Those that contents are here of, or are asked for."""
        return sorted(path.name for path in (self.folder / "blobs").iterdir() if path.is_dir())
