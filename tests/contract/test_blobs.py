"""What every blobs adapter promises, whether it seals or not."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.blobs._contents import Contents
from modelhall.adapters.blobs.folder import FolderBlobs
from modelhall.adapters.blobs.node import Marks, NodeBlobs
from modelhall.core import plugins, sealing
from modelhall.core.errors import Broken, Full, NotFound, NotNow, Rejected
from modelhall.core.ports.blobs import Blobs
from modelhall.core.sealing import KeySet

URLS = {"folder": "folder://{folder}/blobs/p", "node": "node://{folder}/blobs/p"}


def key_set(of: str, *keys: bytes) -> KeySet:
    by_id = {sealing.id_of(key): key for key in keys}
    return KeySet(of=of, newest=list(by_id)[-1], keys=by_id)


FIRST, SECOND = (hashlib.sha256(word).digest() for word in (b"first", b"second"))
KEYS = key_set("project p", FIRST)


@pytest.fixture(params=plugins.names("blobs"))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where blobs lie. Those of a node have an agent whose hall has none of what is not there."""
    over = threading.Event()

    def bring_nothing() -> None:
        while not over.wait(0.01):
            for root in tmp_path.glob("blobs/*"):
                for digest in Marks(root).wanted():
                    Marks(root).never(digest, f"no blob {digest} at the hall")

    agent = threading.Thread(target=bring_nothing)
    if request.param == "node":
        agent.start()
    yield URLS[request.param].format(folder=tmp_path)
    over.set()
    if request.param == "node":
        agent.join()


@pytest.fixture(params=[None, KEYS], ids=["plain", "sealed"])
def keys(request: pytest.FixtureRequest) -> KeySet | None:
    return request.param


@pytest.fixture
def blobs(url: str, keys: KeySet | None) -> Blobs:
    return open_blobs(url, keys)


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


def test_what_is_not_there_is_not_found(blobs: Blobs, tmp_path: Path) -> None:
    for digest in ("0" * 64, "../../etc/passwd", ""):
        with pytest.raises(NotFound):
            blobs.get_folder(digest, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_two_processes_may_put_and_get_the_same_folder_at_once(
    url: str, keys: KeySet | None, folder: Path, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        work = [(url, keys, folder, tmp_path / f"got-{number}") for number in range(20)]
        digests = pool.starmap(put_and_get, work, chunksize=1)
    assert len(set(digests)) == 1
    for number in range(20):
        assert content(tmp_path / f"got-{number}") == content(folder)
    left = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert left == []


def put_and_get(url: str, keys: KeySet | None, folder: Path, into: Path) -> str:
    blobs = open_blobs(url, keys)
    digest = blobs.put_folder(folder)
    blobs.get_folder(digest, into)
    return digest


def test_a_damaged_blob_is_never_handed_out(
    url: str, keys: KeySet | None, folder: Path, tmp_path: Path
) -> None:
    blobs = open_blobs(url, keys)
    digest = blobs.put_folder(folder)
    largest = max((tmp_path / "blobs").rglob("*"), key=lambda path: path.stat().st_size)
    os.chmod(largest, 0o644)
    largest.write_bytes(b"\0" * largest.stat().st_size)
    with pytest.raises(Broken, match=largest.stem):
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


def test_everything_that_is_stored_is_listed_and_can_be_read(
    blobs: Blobs, folder: Path, keys: KeySet | None
) -> None:
    digest = blobs.put_folder(folder)
    listed = {blob.digest: blob for blob in blobs.all()}
    assert {digest, *blobs.files_of(digest)} == listed.keys()
    assert {blob.sealed for blob in listed.values()} == {keys is not None}
    for name, blob in listed.items():
        assert hashlib.sha256(b"".join(blobs.read(name))).hexdigest() == name
        assert blob.size_bytes == sum(kept.size_bytes for kept in blobs.kept(name))


def test_what_is_not_there_or_no_folder_is_told_as_such(blobs: Blobs, folder: Path) -> None:
    for ask in (lambda digest: list(blobs.read(digest)), blobs.verify, blobs.files_of, blobs.quarantine):
        with pytest.raises(NotFound):
            ask("0" * 64)
    for number, words in enumerate((b"no JSON", b"[]", b'{"files": [{"path": 1}]}')):
        (folder / str(number)).write_bytes(words)
    for digest in set(blobs.files_of(blobs.put_folder(folder))):
        with pytest.raises(Broken, match="no list"):
            blobs.files_of(digest)


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


def test_a_content_that_has_changed_anywhere_is_found(
    url: str, keys: KeySet | None, folder: Path, tmp_path: Path
) -> None:
    blobs = open_blobs(url, keys)
    digest = blobs.put_folder(folder)
    (part,) = {name for name in blobs.files_of(digest) if 0 < blobs.kept(name)[-1].size_bytes < 100}
    for path in (tmp_path / "blobs").rglob(f"{part}*"):
        whole = path.read_bytes()
        path.chmod(0o644)
        for position in range(len(whole)):
            changed = bytearray(whole)
            changed[position] ^= 1
            path.write_bytes(changed)
            with pytest.raises(Broken, match=part):
                blobs.verify(part)
        path.write_bytes(whole)
    blobs.verify(part)


def test_a_disk_without_room_is_full_and_nothing_is_left_of_the_try(
    blobs: Blobs, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(Full):
        blobs.put_folder(folder)
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file() and path.stat().st_size] == []


# Sealed.


def test_nothing_that_is_sealed_is_to_be_seen_where_it_lies(url: str, folder: Path, tmp_path: Path) -> None:
    (folder / "canary-name").write_bytes(b"canary-content")
    for keys, is_seen in ((KEYS, False), (None, True)):
        open_blobs(f"{url}-{is_seen}", keys).put_folder(folder)
        written = [path for path in (tmp_path / "blobs" / f"p-{is_seen}").rglob("*") if path.is_file()]
        assert written
        assert any(b"canary" in path.read_bytes() for path in written) == is_seen


def test_another_project_has_none_of_it_and_cannot_open_what_is_put_in_its_way(
    url: str, folder: Path
) -> None:
    mine = open_blobs(url, KEYS)
    digest = mine.put_folder(folder)
    theirs = open_blobs(f"{url}2", key_set("project p2", SECOND))
    with pytest.raises(NotFound):
        theirs.verify(digest)
    for kept in mine.kept(digest):
        with mine.open_kept(kept.name) as file:
            theirs.put_kept(kept.name, [file.read()])
    with pytest.raises(Broken, match="project p2 does not have"):
        theirs.verify(digest)
    with pytest.raises(Broken, match="no key of its project"):
        open_blobs(url).verify(digest)


def test_what_is_sealed_as_one_content_does_not_open_as_another(url: str, folder: Path) -> None:
    blobs = open_blobs(url, KEYS)
    one, other = sorted(set(blobs.files_of(blobs.put_folder(folder))))
    for kept in blobs.kept(one):
        with blobs.open_kept(kept.name) as file:
            blobs.put_kept(kept.name.replace(one, other), [file.read()])
    blobs.verify(one)
    with pytest.raises(Broken, match=other):
        blobs.verify(other)


def test_a_new_key_opens_everything_old_without_a_content_being_written(url: str, folder: Path) -> None:
    old = open_blobs(url, KEYS)
    digest = old.put_folder(folder)
    before = sealed_bytes(old)
    both = open_blobs(url, key_set("project p", FIRST, SECOND))
    assert both.rewrap() == 3
    assert both.rewrap() == 0
    new = open_blobs(url, key_set("project p", SECOND))
    for name in (digest, *new.files_of(digest)):
        new.verify(name)
        with pytest.raises(Broken, match="does not have"):
            old.verify(name)
    assert sealed_bytes(new) == before


def test_a_damaged_key_is_passed_over_when_keys_are_wrapped_anew(url: str, folder: Path) -> None:
    old = open_blobs(url, KEYS)
    digest = old.put_folder(folder)
    old.put_kept(f"{digest}.key", [b"rubbish"])
    assert open_blobs(url, key_set("project p", FIRST, SECOND)).rewrap() == 2


def test_what_can_no_longer_be_opened_can_be_put_again(url: str, folder: Path, tmp_path: Path) -> None:
    digest = open_blobs(url, KEYS).put_folder(folder)
    new = open_blobs(url, key_set("project p", SECOND))
    assert new.put_folder(folder) == digest
    new.get_folder(digest, tmp_path / "got")
    assert content(tmp_path / "got") == content(folder)


def test_what_was_kept_as_it_is_can_be_read_and_is_sealed_when_it_is_put_again(
    url: str, folder: Path
) -> None:
    digest = open_blobs(url).put_folder(folder)
    blobs = open_blobs(url, KEYS)
    blobs.verify(digest)
    blobs.put_folder(folder)
    assert all(blob.sealed for blob in blobs.all())
    for name in (digest, *blobs.files_of(digest)):
        blobs.verify(name)
    closed = open_blobs(url, replace(KEYS, newest=None))
    closed.verify(digest)


def test_blobs_from_before_projects_were_kept_apart_can_be_read_by_each(tmp_path: Path, folder: Path) -> None:
    digest = open_blobs(f"folder://{tmp_path}/blobs").put_folder(folder)
    blobs = open_blobs(f"folder://{tmp_path}/blobs/p", KEYS)
    blobs.get_folder(digest, tmp_path / "got")
    assert content(tmp_path / "got") == content(folder)
    assert list(blobs.all()) == []


def test_what_is_deleted_is_gone_with_its_key_and_what_was_put_aside_and_what_is_beside_it_stays(
    blobs: Blobs, folder: Path, tmp_path: Path
) -> None:
    digest = blobs.put_folder(folder)
    gone, *_ = blobs.files_of(digest)
    size = sum(kept.size_bytes for kept in blobs.kept(gone))
    blobs.quarantine(gone)
    blobs.put_folder(folder)
    assert blobs.delete(gone) >= size > 0
    assert blobs.kept(gone) == []
    assert list(tmp_path.rglob(f"{gone}*")) == []
    with pytest.raises(NotFound):
        blobs.verify(gone)
    assert blobs.delete(gone) == 0
    blobs.verify(digest)
    assert blobs.put_folder(folder) == digest
    blobs.verify(gone)


def test_content_of_another_digest_than_it_was_to_have_is_not_stored(tmp_path: Path, folder: Path) -> None:
    contents = Contents(tmp_path / "blobs", KEYS)
    with pytest.raises(Broken, match="has the digest"):
        contents.write("0" * 64, [b"content"])
    assert contents.find("0" * 64) is None


def sealed_bytes(blobs: Blobs) -> dict[str, bytes]:
    """What everything is sealed as, without its key."""
    names = [kept.name for blob in blobs.all() for kept in blobs.kept(blob.digest)]
    found = {}
    for name in names:
        if not name.endswith(".key"):
            with blobs.open_kept(name) as file:
                found[name] = file.read()
    return found


def test_what_is_not_on_a_node_comes_when_it_is_asked_for_and_what_is_made_is_told(
    keys: KeySet | None, folder: Path, tmp_path: Path
) -> None:
    hall = FolderBlobs(tmp_path / "hall" / "p", keys)
    digest = hall.put_folder(folder)
    root, over = tmp_path / "node" / "p", threading.Event()
    there, marks = FolderBlobs(root), Marks(root)

    def bring() -> None:
        while not over.wait(0.01):
            for wanted in marks.wanted():
                for one in hall.kept(wanted):
                    with hall.open_kept(one.name) as file:
                        there.put_kept(one.name, file)
                marks.came(wanted)

    agent = threading.Thread(target=bring)
    agent.start()
    try:
        node = NodeBlobs(root, keys)
        node.get_folder(digest, tmp_path / "got")
        assert content(tmp_path / "got") == content(folder)
        assert marks.made() == []
        (folder / "one").write_bytes(b"new")
        made = node.put_folder(folder)
        assert marks.made() == sorted({made, *node.files_of(made)})
    finally:
        over.set()
        agent.join()


def test_a_program_on_a_node_without_an_agent_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NotNow, match="no agent brings blob aaaa"):
        NodeBlobs(tmp_path, None, patience_s=0.0).get_folder("a" * 64, tmp_path / "got")
