"""Lives that make durable files and store blobs until their power is cut. What they find and what they have
acknowledged they say; `test_power_cuts.py` judges it."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from power import Cut, Say

from modelhall.adapters.blobs.folder import FolderBlobs
from modelhall.core import files
from modelhall.core.errors import HallError
from modelhall.core.sealing import KeySet

THREADS = 8
KEYS = KeySet(of="project p", newest="1d" * 8, keys={"1d" * 8: bytes(32)})


def replace_files(say: Say, folder: Path, seed: int, after_s: float) -> None:
    """Say what is there, and replace files until the power is cut."""
    names = [f"file-{number}" for number in range(THREADS)]
    for name in names:
        path = folder / name
        say(("found", name, _sha256(path.read_bytes()) if path.exists() else ""))
    cut, lock = Cut(folder, after_s), threading.Lock()

    def replace(name: str) -> None:
        rng = random.Random(f"{seed} {name}")
        while True:
            content = rng.randbytes(rng.choice((0, 10, 5_000, 100_000)))
            with lock:
                say(("try", name, _sha256(content)))
            files.write_bytes(folder / name, content)
            if cut.is_made:
                return
            with lock:
                say(("done", name, _sha256(content)))

    cut.start()
    until_the_cut(cut, [partial(replace, name) for name in names])


def store_blobs(
    say: Say, folder: Path, seed: int, after_s: float | None, beside: Path, stored: dict[str, dict[str, str]]
) -> None:
    """Say which of `stored` is not there, and seal and store more until the power is cut. What is to be stored is
    made `beside` the disk; several store the same contents at once."""
    blobs = FolderBlobs(folder / "blobs", KEYS)
    for number, (digest, listed) in enumerate(stored.items()):
        into = beside / f"back-{seed}-{number}"
        try:
            blobs.get_folder(digest, into)
            found = {path.name: _sha256(path.read_bytes()) for path in into.iterdir()}
        except HallError as error:
            say(("lost", digest, repr(error)))
            continue
        if found != listed:
            say(("lost", digest, f"{found}, not {listed}"))
    for blob in blobs.all():
        try:
            blobs.verify(blob.digest)
        except HallError as error:
            say(("half", blob.digest, repr(error)))
    if after_s is None:
        return
    cut, lock = Cut(folder, after_s), threading.Lock()
    contents = [random.Random(seed + n).randbytes((n * 7919) % 60_000) for n in range(200)]

    def store(number: int) -> None:
        rng = random.Random(seed + number)
        for turn in range(10_000):
            source = beside / f"{number}-{turn}"
            source.mkdir()
            # All go through the contents in one order, so that they often meet.
            for name in range(rng.randrange(1, 4)):
                (source / str(name)).write_bytes(contents[min(turn + name, 199)])
            listed = {path.name: _sha256(path.read_bytes()) for path in source.iterdir()}
            digest = blobs.put_folder(source)
            if cut.is_made:
                return
            with lock:
                say(("stored", digest, listed))

    cut.start()
    until_the_cut(cut, [partial(store, number) for number in range(THREADS)])


def store_what_is_there(say: Say, folder: Path, source: Path, twin: Path) -> None:
    """Store what another process has just given its name, an instant before that one syncs the folder; then the
    power is cut."""
    digest = FolderBlobs(twin).put_folder(source)
    for path in twin.glob("??/??/*"):
        parent = folder / "blobs" / path.relative_to(twin).parent
        parent.mkdir(parents=True)
        for made in (parent, parent.parent, parent.parent.parent, folder):
            files.sync_folder(made)
        files.write_bytes(folder / path.name, path.read_bytes(), 0o444)
    for path in twin.glob("??/??/*"):
        os.replace(folder / path.name, folder / "blobs" / path.relative_to(twin))
    assert FolderBlobs(folder / "blobs").put_folder(source) == digest
    Cut(folder).now()
    say(("stored", digest, {path.name: _sha256(path.read_bytes()) for path in source.iterdir()}))


def until_the_cut(cut: Cut, works: list[Callable[[], None]]) -> None:
    """Do all of it at once, until the disk is gone."""
    failed: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, HallError) as error:
            if not cut.is_made:
                failed.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    if failed:
        raise failed[0]
    if not cut.is_over:
        cut.now()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
