"""The home of a hall: who is up in it, and the lock that keeps two control planes from leading in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from modelhall.core.errors import Rejected

HALL_FILE = "hall.json"
"""Written by the control plane that leads: its process and where it listens."""
STANDBY_FILES = "standby-*.json"
"""Of the control planes that stand by, a file each."""
TRAFFIC = "traffic"
"""Folder in which gateways tell what they see of requests."""


def lay_out(home: Path) -> None:
    """Make the folders that all parts of a hall expect."""
    for folder in ("blobs", "cache", "runs", "usage"):
        (home / folder).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def lock(home: Path) -> Iterator[None]:
    """Hold the home for this process alone. The lock goes with the process, however it ends."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (home / "lock").open("a")
    except OSError as error:
        raise Rejected(
            f"the home {home} cannot be written: {error.strerror}; choose another with --home"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Rejected(
                f"a hall is up in {home} already; `hall down` stops it, --home chooses another"
            ) from None
        yield


def standby_file(home: Path) -> Path:
    """The file of this process, should it stand by."""
    return home / STANDBY_FILES.replace("*", str(os.getpid()))


def is_locked(home: Path) -> bool:
    """Whether a control plane leads in this home."""
    try:
        with lock(home):
            return False
    except Rejected:
        return True
