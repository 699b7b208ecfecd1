"""What every blobs adapter promises."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from modelhall.adapters.blobs import open_blobs
from modelhall.core import plugins
from modelhall.core.errors import Broken, Full, NotFound, Rejected
from modelhall.core.ports.blobs import Blobs

URLS = {"folder": "folder://{folder}/blobs"}


@pytest.fixture(params=plugins.names("blobs"))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return URLS[request.param].format(folder=tmp_path)


@pytest.fixture
def blobs(url: str) -> Blobs:
    return open_blobs(url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of the same content and one in a folder below."""
    made = tmp_path / "made"
    (made / "below").mkdir(parents=True)
    (made / "one").write_bytes(b"same")
    (made / "two").write_bytes(b"same")
    (made / "below" / "数.bin").write_bytes(bytes(range(256)) * 5000)
    return made


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_folder_comes_back_as_it_was_put(blobs: Blobs, folder: Path, tmp_path: Path) -> None:
    digest = blobs.put_folder(folder)
    blobs.get_folder(digest, tmp_path / "deep" / "got")
    assert content(tmp_path / "deep" / "got") == content(folder)
    assert blobs.size_bytes(digest) == 4 + 4 + 256 * 5000


def test_the_same_content_has_the_same_digest_wherever_it_lay(
    blobs: Blobs, folder: Path, tmp_path: Path
) -> None:
    digest = blobs.put_folder(folder)
    folder.rename(tmp_path / "elsewhere")
    assert blobs.put_folder(tmp_path / "elsewhere") == digest


def test_another_name_or_content_has_another_digest(blobs: Blobs, folder: Path) -> None:
    digests = {blobs.put_folder(folder)}
    (folder / "one").rename(folder / "three")
    digests.add(blobs.put_folder(folder))
    (folder / "three").write_bytes(b"other")
    digests.add(blobs.put_folder(folder))
    assert len(digests) == 3


def test_an_empty_folder_can_be_kept(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    blobs.get_folder(blobs.put_folder(tmp_path / "empty"), tmp_path / "got")
    assert list((tmp_path / "got").iterdir()) == []


def test_what_was_put_survives_a_change_of_the_folder_it_came_from(
    blobs: Blobs, folder: Path, tmp_path: Path
) -> None:
    digest = blobs.put_folder(folder)
    (folder / "one").write_bytes(b"changed")
    blobs.get_folder(digest, tmp_path / "got")
    assert (tmp_path / "got" / "one").read_bytes() == b"same"


def test_a_reader_cannot_write_to_what_it_got(blobs: Blobs, folder: Path, tmp_path: Path) -> None:
    blobs.get_folder(blobs.put_folder(folder), tmp_path / "got")
    assert all(path.stat().st_mode & 0o222 == 0 for path in (tmp_path / "got").rglob("*") if path.is_file())


def test_getting_a_folder_again_mends_what_is_missing(blobs: Blobs, folder: Path, tmp_path: Path) -> None:
    digest = blobs.put_folder(folder)
    blobs.get_folder(digest, tmp_path / "got")
    (tmp_path / "got" / "one").unlink()
    (tmp_path / "got" / "two").unlink()
    (tmp_path / "got" / "two").write_bytes(b"damaged")
    blobs.get_folder(digest, tmp_path / "got")
    assert content(tmp_path / "got") == content(folder)


def test_what_is_not_there_is_not_found(blobs: Blobs, tmp_path: Path) -> None:
    for digest in ("0" * 64, "../../etc/passwd", ""):
        with pytest.raises(NotFound):
            blobs.get_folder(digest, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_two_processes_may_put_and_get_the_same_folder_at_once(
    url: str, folder: Path, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        work = [(url, folder, tmp_path / f"got-{round}") for round in range(10) for _ in range(2)]
        digests = pool.starmap(put_and_get, work, chunksize=1)
    assert len(set(digests)) == 1
    for round in range(10):
        assert content(tmp_path / f"got-{round}") == content(folder)
    left = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert left == []


def put_and_get(url: str, folder: Path, into: Path) -> str:
    blobs = open_blobs(url)
    digest = blobs.put_folder(folder)
    blobs.get_folder(digest, into)
    return digest


def test_a_damaged_blob_is_never_handed_out(folder: Path, tmp_path: Path) -> None:
    blobs = open_blobs(f"folder://{tmp_path}/blobs")
    digest = blobs.put_folder(folder)
    largest = max((tmp_path / "blobs").rglob("*"), key=lambda path: path.stat().st_size)
    os.chmod(largest, 0o644)
    largest.write_bytes(b"\0" * largest.stat().st_size)
    with pytest.raises(Broken, match=largest.name):
        blobs.get_folder(digest, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_a_link_is_not_stored(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(Broken, match="link"):
        open_blobs(f"folder://{tmp_path}/blobs").put_folder(folder)


@pytest.mark.parametrize("url", ["/no/scheme", "nowhere:///x", "folder://relative/path"])
def test_a_url_nobody_serves_is_rejected(url: str) -> None:
    with pytest.raises(Rejected):
        open_blobs(url)


def test_everything_that_is_stored_is_listed_with_its_size(blobs: Blobs, folder: Path) -> None:
    digest = blobs.put_folder(folder)
    listed = {blob.digest: blob.size_bytes for blob in blobs.all()}
    assert {digest, *blobs.files_of(digest)} == listed.keys()
    assert sorted(listed.values())[0] == 4
    for name, size_bytes in listed.items():
        with blobs.open(name) as file:
            assert len(file.read()) == size_bytes


def test_a_content_that_is_put_by_itself_is_there_under_its_digest(blobs: Blobs) -> None:
    digest = blobs.put([b"one", b"two"])
    blobs.verify(digest)
    assert [(blob.digest, blob.size_bytes) for blob in blobs.all()] == [(digest, 6)]


def test_what_is_not_there_or_no_folder_is_told_as_such(blobs: Blobs) -> None:
    for ask in (blobs.open, blobs.verify, blobs.files_of, blobs.quarantine):
        with pytest.raises(NotFound):
            ask("0" * 64)
    for content in (b"no JSON", b"[]", b'{"files": [{"path": 1}]}'):
        with pytest.raises(Broken, match="no list"):
            blobs.files_of(blobs.put([content]))


def test_what_was_put_aside_is_gone_without_being_its_readers_mistake_until_it_is_put_again(
    blobs: Blobs, folder: Path, tmp_path: Path
) -> None:
    digest = blobs.put_folder(folder)
    part = blobs.files_of(digest)[0]
    blobs.quarantine(part)
    assert part not in {blob.digest for blob in blobs.all()}
    with pytest.raises(Broken, match="put aside"):
        blobs.get_folder(digest, tmp_path / "got")
    assert blobs.put_folder(folder) == digest
    blobs.get_folder(digest, tmp_path / "got")
    assert content(tmp_path / "got") == content(folder)


def test_a_content_that_has_changed_is_found(folder: Path, tmp_path: Path) -> None:
    blobs = open_blobs(f"folder://{tmp_path}/blobs")
    digest = blobs.put([b"content"])
    path = next((tmp_path / "blobs").rglob(digest))
    path.chmod(0o644)
    path.write_bytes(b"Content")
    with pytest.raises(Broken, match=digest):
        blobs.verify(digest)


def test_a_disk_without_room_is_full_and_nothing_is_left_of_the_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(Full):
        open_blobs(f"folder://{tmp_path}/blobs").put([b"content"])
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
