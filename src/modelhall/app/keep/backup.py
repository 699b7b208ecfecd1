"""Backup: all that a hall keeps in one file, while it is up or not.

What is copied later may be newer than what was copied before, so that everything is there that anything names: first
the book and what is not in it yet of the usage, then the store at one revision, then the runs, and the blobs last.
Tokens, keys and secrets are not in it, and neither is the URL of the store, which may hold a password.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.book.sqlite import open_book
from modelhall.adapters.store import open_store
from modelhall.app.keep import Show, attempts, resources, unseen
from modelhall.app.keep.archive import BOOK, EVENTS, RESOURCES, SETTINGS, USAGE
from modelhall.app.keep.writer import Writer, room
from modelhall.core.errors import Broken, NotFound, Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.ports.blobs import Blobs
from modelhall.ledger.journal import PATTERN
from modelhall.settings import Settings

STORE_LINE = re.compile(r"^[ \t]*[\"']?store[\"']?[ \t]*=.*$\n?", re.MULTILINE)


class Backup(Frozen):
    """What was backed up."""

    file: str
    size_bytes: int
    revision: int
    resources: dict[str, int]
    events: int
    runs: int
    blobs: int
    blobs_bytes: int
    damaged: tuple[str, ...]
    """Blobs that no longer have their digest."""
    left_out: tuple[str, ...]
    """Files that are not, or not wholly, in it."""


async def back_up(
    settings: Settings, file: Path, *, now: Callable[[], float], force: bool = False, show: Show = unseen
) -> Backup:
    """Copy the hall of `settings.home` into `file`. Raises Rejected when there is none or the file may not be
    written, Full when there is no room for it."""
    home = settings.home
    if not (home / "blobs").is_dir():
        raise Rejected(f"there is no hall in {home}; --home chooses another")
    with (
        Writer(file, force=force) as writer,
        tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as name,
        contextlib.ExitStack() as open_files,
    ):
        spool = Path(name)
        # Opened before the book is copied: the ledger removes a journal when all of it is in the book.
        journals: dict[str, BinaryIO] = {}
        _open_journals(home, journals, open_files)
        with room(file):
            await _copy_book(home, spool / BOOK)
        _open_journals(home, journals, open_files)
        store = open_store(settings.store_url, writable=False)
        try:
            with room(file):
                cut = await resources.write(store, spool / RESOURCES)
                events = await resources.write_events(store, spool / EVENTS)
        finally:
            await store.close()
        made_at = now()
        for name in (RESOURCES, EVENTS, BOOK):
            _add_file(writer, name, spool / name)
        _add_settings(writer, home)
        for uid in sorted(cut.run_uids):
            attempts.add_run(writer, home / "runs" / uid, at=made_at)
        for name, journal in sorted(journals.items()):
            writer.add_bytes(f"{USAGE}{name}", _whole_lines(journal))
        blobs, blobs_bytes = _add_blobs(writer, open_blobs(settings.blobs), show)
        manifest = writer.finish(made_at=made_at, revision=cut.revision)
    return Backup(
        file=str(file),
        size_bytes=writer.size_bytes,
        revision=cut.revision,
        resources=cut.counts,
        events=events,
        runs=len(cut.run_uids),
        blobs=blobs,
        blobs_bytes=blobs_bytes,
        damaged=manifest.damaged,
        left_out=manifest.left_out,
    )


def _open_journals(home: Path, journals: dict[str, BinaryIO], open_files: contextlib.ExitStack) -> None:
    """Open those that are not open yet."""
    for path in sorted((home / "usage").glob(PATTERN)):
        if path.name not in journals:
            # One that is gone since it was listed is in the book.
            with contextlib.suppress(FileNotFoundError):
                journals[path.name] = open_files.enter_context(path.open("rb"))


async def _copy_book(home: Path, path: Path) -> None:
    if not (home / "book.db").exists():
        return
    book = open_book(home)
    try:
        await book.copy_to(path)
    finally:
        await book.close()


def _add_file(writer: Writer, name: str, path: Path) -> None:
    if path.exists():
        with path.open("rb") as file:
            writer.add(name, file, os.fstat(file.fileno()).st_size)


def _add_settings(writer: Writer, home: Path) -> None:
    """Add `hall.toml` without the URL of the store."""
    try:
        text = STORE_LINE.sub("", (home / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    if "store" in tomllib.loads(text):
        writer.leave_out(SETTINGS, "it says `store` in a way that cannot be taken out")
    else:
        writer.add_bytes(SETTINGS, text.encode())


def _add_blobs(writer: Writer, blobs: Blobs, show: Show) -> tuple[int, int]:
    """Add every blob; return how many there were, and their size."""
    found = list(blobs.all())
    total = sum(blob.size_bytes for blob in found)
    done = count = 0
    for blob in found:
        show("blobs", done, total)
        # One that was put aside meanwhile was damaged; whoever did that knows.
        with contextlib.suppress(NotFound, Broken), _opened(blobs, blob.digest) as file:
            writer.add_blob(blob.digest, file, blob.size_bytes)
            count += 1
        done += blob.size_bytes
    show("blobs", total, total)
    return count, total


def _opened(blobs: Blobs, digest: str) -> BinaryIO:
    """One blob; empty when it cannot be opened, which makes it a damaged one."""
    try:
        return blobs.open(digest)
    except OSError:
        return io.BytesIO()


def _whole_lines(journal: BinaryIO) -> bytes:
    """A journal up to its last newline: what follows is on its way still."""
    data = journal.read()
    return data[: data.rfind(b"\n") + 1]
