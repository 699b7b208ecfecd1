"""Restore: a hall from a backup, in a home of its own that was not there before.

All of it is made in a folder beside the home and checked there; the last step is one rename. Killed at any instant,
there is no home or a whole one, and the next restore clears away what was left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.book.sqlite import open_book
from modelhall.adapters.store import open_store
from modelhall.adapters.treasury.sqlite import open_treasury
from modelhall.app.keep import Show, resources, unseen
from modelhall.app.keep.archive import (
    BLOBS,
    BOOK,
    EVENTS,
    KEYS,
    PRIVATE,
    RESOURCES,
    SETTINGS,
    TREASURY,
    Manifest,
)  # fmt: skip
from modelhall.app.keep.reader import Content, Reader
from modelhall.app.keys import open_ring
from modelhall.core import files
from modelhall.core.errors import Broken, Full, NotFound, Rejected
from modelhall.core.failpoints import reach
from modelhall.core.kinds import KINDS
from modelhall.core.kinds.base import Frozen
from modelhall.core.ports.store import Store
from modelhall.settings import Settings
from modelhall.trust.wrapped_keys import read_wrapped

NOT_RESTORED = {"home", "environment", "ray_environment", "failpoints", *PRIVATE}
"""Settings that no backup has."""
SPARE_BYTES = 64 << 20
"""What is left free on the disk."""
RETRY_S = 60.0


class Restored(Frozen):
    """What was restored."""

    home: str
    revision: int
    """Of the store when it was backed up."""
    made_at: float
    resources: dict[str, int]
    blobs: int
    damaged: tuple[str, ...]
    """Blobs that were damaged already when they were backed up, and are not there now."""
    root_key: str | None
    """Id of the root key that this hall needs; None when nothing in it is sealed."""


async def restore(settings: Settings, file: Path, *, show: Show = unseen) -> Restored:
    """Make the home of `settings` from the backup `file`. Raises Rejected when there is a home, when the store of
    the settings is not empty, and for a file that is not exactly what a backup wrote; then nothing has been made."""
    home = settings.home
    reader = Reader(file)
    _check_free(home)
    with _workplace(home) as folder:
        there = settings.model_copy(update={"home": folder})
        await _check_store(there)
        manifest, blobs = _unpack(reader, folder, there.blobs, show)
        _check_settings(folder / SETTINGS)
        await _check_book(folder)
        await _check_treasury(folder)
        root = _check_keys(there)
        reach("restore.unpacked")
        counts = await _fill(there, folder, manifest)
        reach("restore.filled")
        _sync(folder)
        reach("restore.synced")
        _take_the_place(folder, home)
        reach("restore.renamed")
        files.sync_folder(home.parent)
    return Restored(
        home=str(home),
        revision=manifest.revision,
        made_at=manifest.made_at,
        resources=counts,
        blobs=blobs,
        damaged=manifest.damaged,
        root_key=root,
    )


def _check_free(home: Path) -> None:
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise Rejected(f"{home} is not empty; a backup is restored into a new home: choose one with --home")


@contextlib.contextmanager
def _workplace(home: Path) -> Iterator[Path]:
    """A folder beside the home, for this process alone; whatever is still there at the end is removed."""
    folder = home.with_name(f".{home.name}.restoring")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Rejected(f"{home} cannot be made: {error.strerror}; choose another with --home") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Rejected(f"another restore into {home} is at work") from None
        _clear(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _clear(folder: Path) -> None:
    """Remove what a restore that was killed has left."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


async def _check_store(settings: Settings) -> None:
    """Refuse to restore into a store in which there is something."""
    if not settings.store:
        return
    store = open_store(settings.store_url)
    try:
        if await store.revision() or any([await store.find(kind, limit=1) for kind in KINDS]):
            raise Rejected(
                "the store that MODELHALL_STORE names is not empty; name an empty one, or none for a file in the home"
                " (a restore that was killed may have filled it: then make it anew)"
            )
    finally:
        await store.close()


def _unpack(reader: Reader, folder: Path, blobs: str, show: Show) -> tuple[Manifest, int]:
    """Put every member in its place; return the manifest, and how many blobs are whole."""
    changed = set()
    count = done = 0
    for content in reader.members(folder):
        show("unpacked", done, max(reader.size_bytes, done))
        done += content.size_bytes
        if content.size_bytes + SPARE_BYTES > shutil.disk_usage(folder).free:
            raise Full(f"there is no room for the backup in {folder.parent}", delay_s=RETRY_S)
        if not content.name.startswith(BLOBS):
            _write(folder / content.name, content)
            continue
        name = content.name.removeprefix(BLOBS)
        _put_blob(blobs, name, content)
        count += not name.endswith(".key")
        # What a sealed one holds is seen when it is opened; the list says already that it is what was written.
        if "." not in name and content.facts().sha256 != name.rpartition("/")[2]:
            changed.add(name)
    manifest = reader.manifest
    assert manifest is not None, "the reader has checked that there is one"
    if unexpected := changed - set(manifest.damaged):
        raise Rejected(f"blob {min(unexpected)} in the backup does not have its digest")
    if not (folder / RESOURCES).exists() or not (folder / EVENTS).exists():
        raise Rejected(f"the backup has no {RESOURCES} or no {EVENTS}")
    for name in manifest.damaged:
        _quarantine(blobs, name)
    return manifest, count - len(manifest.damaged)


def _put_blob(url: str, name: str, content: Content) -> None:
    """Put one object of a blob where it was: PROJECT/NAME, or NAME alone when it is of no project."""
    project, _, own = name.rpartition("/")
    open_blobs(f"{url}/{project}".rstrip("/")).put_kept(own, content.chunks())


def _quarantine(url: str, name: str) -> None:
    project, _, digest = name.rpartition("/")
    try:
        open_blobs(f"{url}/{project}".rstrip("/")).quarantine(digest)
    except NotFound:
        raise Rejected(f"the backup says that blob {name} is damaged, and does not have it") from None


def _check_keys(settings: Settings) -> str | None:
    """The id of the root key that wrapped the keys of the backup; if the settings name one, it has to be that."""
    if not (settings.home / KEYS).exists():
        return None
    try:
        found = read_wrapped(settings.home / KEYS)
        if settings.root_key:
            open_ring(settings, lambda: 0.0, make=False)
    except Broken:
        raise Rejected(f"{KEYS} in the backup makes no sense") from None
    return found.root


def _write(path: Path, content: Content) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(content.chunks())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(f"there is no room for the backup in {path}", delay_s=RETRY_S) from None
        raise Rejected(f"{content.name} in the backup cannot be written: {error.strerror}") from None


def _check_settings(path: Path) -> None:
    """Refuse settings that no backup has: they would have the hall use another store, or die."""
    if not path.exists():
        return
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Rejected(f"{SETTINGS} in the backup is not TOML: {error}") from None
    if foreign := (said.keys() & NOT_RESTORED) | (said.keys() - Settings.model_fields.keys()):
        raise Rejected(f"{SETTINGS} in the backup sets {min(foreign)!r}, which no backup does")


async def _check_book(folder: Path) -> None:
    if not (folder / BOOK).exists():
        return
    book = open_book(folder)
    try:
        problems = await book.problems()
    finally:
        await book.close()
    if problems:
        raise Rejected(f"{BOOK} in the backup is damaged: {problems[0]}")


async def _check_treasury(folder: Path) -> None:
    if not (folder / TREASURY).exists():
        return
    try:
        treasury = open_treasury(folder)
        try:
            await treasury.holders()
        finally:
            await treasury.close()
    except Broken as error:
        raise Rejected(f"{TREASURY} in the backup is damaged: {error}") from None


async def _fill(settings: Settings, folder: Path, manifest: Manifest) -> dict[str, int]:
    """Fill the store, and remove the files it was filled from."""
    store: Store = open_store(settings.store_url)
    try:
        counts = await resources.read(store, folder / RESOURCES, revision=manifest.revision)
        await resources.read_events(store, folder / EVENTS)
    finally:
        await store.close()
    (folder / RESOURCES).unlink()
    (folder / EVENTS).unlink()
    return counts


def _sync(folder: Path) -> None:
    """Make all of a folder durable."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(place, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        files.sync_folder(Path(place))


def _take_the_place(folder: Path, home: Path) -> None:
    try:
        os.rename(folder, home)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise Rejected(
                f"{home} has been made by somebody else meanwhile; choose another with --home"
            ) from None
        raise Broken(f"{folder} cannot be renamed to {home}: {error.strerror}") from error
