"""Artifacts lie in the plain only while somebody reads them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from modelhall.adapters.blobs.folder import FolderBlobs
from modelhall.core.errors import NotFound
from modelhall.core.unpacking import private_folder, sweep, sweep_all, unpacked


@pytest.fixture
def digest(tmp_path: Path) -> str:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "file").write_bytes(b"content")
    return FolderBlobs(tmp_path / "blobs").put_folder(tmp_path / "made")


def test_an_artifact_is_there_for_the_halls_user_alone_until_it_is_left(tmp_path: Path, digest: str) -> None:
    blobs, cache = FolderBlobs(tmp_path / "blobs"), tmp_path / "cache" / "p"
    with unpacked(blobs, digest, cache) as folder, unpacked(blobs, digest, cache) as another:
        assert (folder / "file").read_bytes() == (another / "file").read_bytes() == b"content"
        assert folder != another
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        sweep(cache)
        assert (folder / "file").exists(), "it is held"
    assert list(cache.iterdir()) == []


def test_nothing_is_left_of_an_artifact_that_is_not_there_or_a_reader_that_fails(
    tmp_path: Path, digest: str
) -> None:
    blobs, cache = FolderBlobs(tmp_path / "blobs"), tmp_path / "cache"
    with pytest.raises(NotFound), unpacked(blobs, "0" * 64, cache):
        pass
    with pytest.raises(ZeroDivisionError), unpacked(blobs, digest, cache):
        raise ZeroDivisionError
    assert list(cache.iterdir()) == []


def test_what_a_killed_reader_left_is_removed_by_the_next_one(tmp_path: Path, digest: str) -> None:
    cache = tmp_path / "cache" / "p"
    kill_a_reader(tmp_path / "blobs", digest, cache)
    assert [path.read_bytes() for path in cache.rglob("file")] == [b"content"]
    with private_folder(cache) as mine:
        assert list(cache.iterdir()) == [mine]


def test_a_start_removes_what_was_left_in_any_project_and_what_an_earlier_hall_kept(
    tmp_path: Path, digest: str
) -> None:
    cache = tmp_path / "cache"
    kill_a_reader(tmp_path / "blobs", digest, cache / "p")
    (cache / digest).mkdir()
    (cache / digest / "file").write_bytes(b"content")
    sweep_all(cache)
    assert list(cache.rglob("file")) == []


def kill_a_reader(blobs: Path, digest: str, cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=read_for_ever, args=(blobs, digest, cache, theirs))
    process.start()
    assert ours.recv() == "unpacked"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def read_for_ever(blobs: Path, digest: str, cache: Path, told: Connection) -> None:
    with unpacked(FolderBlobs(blobs), digest, cache):
        told.send("unpacked")
        signal.pause()
