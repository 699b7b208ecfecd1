"""Artifacts in the plain, for no longer than somebody reads them.

Each has a folder of its own that only the hall's user can enter, held by a lock that goes with its holder however
that ends. What nobody holds is left over from somebody who was killed, and is removed by whoever comes next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from modelhall.core.names import is_name
from modelhall.core.ports.blobs import Blobs


@contextlib.contextmanager
def unpacked(blobs: Blobs, digest: str, cache: Path) -> Iterator[Path]:
    """The folder of an artifact, read-only, below `cache` until it is left. Raises what `get_folder` does."""
    with private_folder(cache) as place:
        folder = place / digest
        blobs.get_folder(digest, folder)
        yield folder


@contextlib.contextmanager
def private_folder(cache: Path) -> Iterator[Path]:
    """A new folder below `cache` that is this process's until it is left."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(cache)
    descriptor = None
    while descriptor is None:
        place = cache / secrets.token_hex(8)
        place.mkdir(mode=0o700)
        # Whoever sweeps may have come in between.
        descriptor = _locked(place)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(descriptor)


def sweep_all(cache: Path) -> None:
    """Remove what nobody holds any more in the folder of any project, and what an earlier hall left beside them."""
    for place in list(cache.glob("*")):
        if is_name(place.name):
            sweep(place)
        else:
            shutil.rmtree(place, ignore_errors=True)


def sweep(cache: Path) -> None:
    """Remove what nobody holds any more in one folder."""
    for place in list(cache.glob("*")):
        if (descriptor := _locked(place)) is not None:
            shutil.rmtree(place, ignore_errors=True)
            os.close(descriptor)


def _locked(place: Path) -> int | None:
    """A descriptor that holds a folder; None when somebody else does, or when it is gone."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), place.stat()):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
