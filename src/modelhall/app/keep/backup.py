"""Backup: all that a hall keeps in one file, while it is up or not.

What is copied later may be newer than what was copied before, so that everything is there that anything names: first
the book and what is not in it yet of the usage, then the store at one revision, then the runs, and the blobs last.
The treasury follows the usage: what was used had been drawn before, so no budget can be used twice.
Blobs stay sealed, and projects' keys wrapped. The root key, tokens and secrets are not in it, and neither is the URL
of the store, which may hold a password, or what tells where the root key comes from.
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

from modelhall.adapters.book.sqlite import SqliteBook, open_book
from modelhall.adapters.store import open_store
from modelhall.adapters.treasury.sqlite import SqliteTreasury, open_treasury
from modelhall.app.keep import Show, attempts, resources, unseen
from modelhall.app.keep.archive import (
    BLOBS,
    BOOK,
    EVENTS,
    KEYS,
    PRIVATE,
    RESOURCES,
    SETTINGS,
    TREASURY,
    USAGE,
)  # fmt: skip
from modelhall.app.keep.writer import Writer, room
from modelhall.app.keys import blobs_by_project, open_ring
from modelhall.core.errors import Broken, NotFound, Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.ports.blobs import Blobs
from modelhall.ledger.journal import PATTERN
from modelhall.settings import Settings

PRIVATE_LINE = re.compile(rf"^[ \t]*[\"']?({'|'.join(PRIVATE)})[\"']?[ \t]*=.*$\n?", re.MULTILINE)


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
    """Blobs that cannot be read or no longer have their digest."""
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
            await _copy(home, BOOK, open_book, spool)
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
        with room(file):
            await _copy(home, TREASURY, open_treasury, spool)
        _add_file(writer, TREASURY, spool / TREASURY)
        blobs, blobs_bytes = _add_sealed(writer, settings, now, show)
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


async def _copy(
    home: Path, name: str, opened: Callable[[Path], SqliteBook | SqliteTreasury], spool: Path
) -> None:
    """Copy a database of the home, if it has it, while others may be writing to it."""
    if not (home / name).exists():
        return
    database = opened(home)
    try:
        await database.copy_to(spool / name)
    finally:
        await database.close()


def _add_file(writer: Writer, name: str, path: Path) -> None:
    if path.exists():
        with path.open("rb") as file:
            writer.add(name, file, os.fstat(file.fileno()).st_size)


def _add_settings(writer: Writer, home: Path) -> None:
    """Add `hall.toml` without what is private in it."""
    try:
        text = PRIVATE_LINE.sub("", (home / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    if left := tomllib.loads(text).keys() & set(PRIVATE):
        writer.leave_out(SETTINGS, f"it says `{min(left)}` in a way that cannot be taken out")
    else:
        writer.add_bytes(SETTINGS, text.encode())


def _add_sealed(writer: Writer, settings: Settings, now: Callable[[], float], show: Show) -> tuple[int, int]:
    """Add every blob, and the wrapped keys to all of them; return how many blobs there were, and their size. Keys
    are not forgotten meanwhile. Raises Rejected when the root key is not to be had, NotNow while keys are rotated."""
    ring = open_ring(settings, now, make=False)
    with ring.standing():
        found = _add_blobs(writer, blobs_by_project(settings, ring), show)
        _add_file(writer, KEYS, settings.home / KEYS)
    return found


def _add_blobs(writer: Writer, by_project: dict[str, Blobs], show: Show) -> tuple[int, int]:
    found = [(project, blob) for project, blobs in by_project.items() for blob in blobs.all()]
    total = sum(blob.size_bytes for _, blob in found)
    done = count = 0
    for project, blob in found:
        show("blobs", done, total)
        # One that was put aside meanwhile was damaged; whoever did that knows.
        with contextlib.suppress(NotFound):
            _add_blob(writer, by_project[project], project, blob.digest)
            count += 1
        done += blob.size_bytes
    show("blobs", total, total)
    return count, total


def _add_blob(writer: Writer, blobs: Blobs, project: str, digest: str) -> None:
    """Add what makes up one blob, as it lies there, and say so if it is damaged."""
    folder = f"{project}/" if project else ""
    try:
        blobs.verify(digest)
    except Broken:
        writer.tell_damaged(f"{folder}{digest}")
    for kept in blobs.kept(digest):
        with _opened(blobs, kept.name) as file:
            writer.add(f"{BLOBS}{folder}{kept.name}", file, kept.size_bytes)


def _opened(blobs: Blobs, name: str) -> BinaryIO:
    """One object; empty when it cannot be opened, which makes it a damaged one."""
    try:
        return blobs.open_kept(name)
    except OSError:
        return io.BytesIO()


def _whole_lines(journal: BinaryIO) -> bytes:
    """A journal up to its last newline: what follows is on its way still."""
    data = journal.read()
    return data[: data.rfind(b"\n") + 1]
