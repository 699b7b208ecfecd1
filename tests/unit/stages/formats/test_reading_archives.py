"""Packed files and archives: read as if they were unpacked, and refused where unpacking would do harm."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from reading_files import Read, Refused

from modelhall.core.errors import Full, NotNow, Rejected
from modelhall.core.kinds.dataset import Format
from modelhall.core.ports.source import Limits
from modelhall.stages.prepare import formats
from modelhall.stages.prepare.formats import _source

ROWS = b"x,y\n1,a\n2,b\n"
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def zipped(files: dict[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in more:
            archive.addfile(entry)
    return buffer.getvalue()


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("times", [1, 3])
def test_a_packed_file_is_read_as_what_it_packs(read: Read, ending: str, times: int) -> None:
    # Several packed pieces one after the other are one file, as `cat a.gz b.gz` makes them.
    rows = read({f"a.csv{ending}": PACKED[ending](ROWS) + PACKED[ending](b"3,c\n") * (times - 1)})
    assert rows.rows() == [(1, "a"), (2, "b")] + [(3, "c")] * (times - 1)


@pytest.mark.parametrize("ending", PACKED)
def test_columns_and_pictures_may_be_packed_too(read: Read, ending: str) -> None:
    buffer = io.BytesIO()
    read({"a.csv": ROWS}).write_parquet(buffer)
    assert read({f"b.parquet{ending}": PACKED[ending](buffer.getvalue())}).rows() == [(1, "a"), (2, "b")]
    assert read({f"cat/1.png{ending}": PACKED[ending](b"?")}).rows() == [(b"?", "cat", "cat/1.png")]


@pytest.mark.parametrize("ending", PACKED)
def test_a_packed_file_that_is_cut_off_or_damaged_is_refused(refused: Refused, ending: str) -> None:
    content = b"".join(b"%d,%d\n" % (row, row * 7919 % 10007) for row in range(20_000))
    packed = PACKED[ending](b"x,y\n" + content)
    damaged = packed[:3000] + b"\xff" * 100 + packed[3100:]
    for bad in (packed[:-2000], damaged):
        error = refused({f"a.csv{ending}": bad})
        assert isinstance(error, Rejected)
        assert f"a.csv{ending}" in error.message


ARCHIVES: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "a.zip": zipped,
    "a.tar": tarred,
    "a.tgz": lambda files: gzip.compress(tarred(files)),
    "a.tar.bz2": lambda files: bz2.compress(tarred(files)),
    "a.tar.xz": lambda files: lzma.compress(tarred(files)),
    "a.txz": lambda files: lzma.compress(tarred(files)),
    "a.tar.zst": lambda files: PACKED[".zst"](tarred(files)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_files_of_an_archive_are_read_in_the_order_of_their_names(read: Read, name: str) -> None:
    files = {"d/b.csv": b"x,y\n3,c\n", "d/a.csv": ROWS, "__MACOSX/._a.csv": b"?", "d/.DS_Store": b"?"}
    assert read({name: ARCHIVES[name](files)}).rows() == [(1, "a"), (2, "b"), (3, "c")]


def test_files_of_an_archive_may_be_packed_once_more(read: Read, refused: Refused) -> None:
    assert read({"a.zip": zipped({"b.csv.gz": gzip.compress(ROWS)})}).height == 2
    error = refused({"a.zip": zipped({"b.zip": zipped({"c.csv": ROWS})})})
    assert error.message == "a.zip holds another archive, b.zip; unpack it first"


def test_some_files_of_an_archive_can_be_chosen(read: Read, refused: Refused) -> None:
    archive = zipped({"data/a.csv": ROWS, "LICENSE.md": b"you may"})
    assert read({"a.zip": archive}, members="*.csv").height == 2
    assert "members" in refused({"a.zip": archive}).message
    assert refused({"a.zip": archive}, members="*.tsv").message == "no file there is called '*.tsv'"


def test_a_folder_of_classes_may_be_an_archive(read: Read) -> None:
    rows = read({"a.zip": zipped({"cat/1.png": b"1", "dog/2.png": b"2"})})
    assert rows.rows() == [(b"1", "cat", "cat/1.png"), (b"2", "dog", "dog/2.png")]


def test_names_in_chinese_that_are_not_said_to_be_in_unicode_are_read(read: Read) -> None:
    archive = bytearray(zipped({"????/1.png": b"1"}))
    name = "狗狗".encode("gb18030")
    assert read({"a.zip": bytes(archive.replace(b"????", name))})["label"].to_list() == ["狗狗"]


def member(kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo("b.csv")
    entry.type, entry.linkname = kind, target
    return entry


def link_in_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("b.csv")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def encrypted() -> bytes:
    archive = bytearray(zipped({"b.csv": ROWS}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = archive.index(signature) + flags
        archive[place : place + 2] = struct.pack("<H", 1)
    return bytes(archive)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.zip", zipped({"../b.csv": ROWS}), "a.zip: '../b.csv' leads out of the archive"),
        ("a.zip", zipped({"/b.csv": ROWS}), "a.zip: '/b.csv' leads out of the archive"),
        ("a.zip", zipped({"x\\..\\..\\b.csv": ROWS}), "leads out of the archive"),
        ("a.zip", zipped({"C:/b.csv": ROWS}), "leads out of the archive"),
        ("a.tar", tarred({"x/../../b.csv": ROWS}), "leads out of the archive"),
        ("a.tar", tarred({}, member(tarfile.SYMTYPE, "/etc/passwd")), "a.tar: 'b.csv' is a link or a device"),
        ("a.tar", tarred({"c.csv": ROWS}, member(tarfile.LNKTYPE, "c.csv")), "is a link or a device"),
        ("a.tar", tarred({}, member(tarfile.CHRTYPE)), "is a link or a device"),
        ("a.tar", tarred({}, member(tarfile.FIFOTYPE)), "is a link or a device"),
        ("a.zip", link_in_zip(), "a.zip: 'b.csv' is a link or a device, not a file"),
        ("a.zip", encrypted(), "a.zip is encrypted; unpack it first"),
        ("a.tar", tarred({"b.csv": ROWS}, member(tarfile.REGTYPE)), "a.tar holds 'b.csv' twice"),
        ("a.tar", tarred({"b": ROWS, "b/c.csv": ROWS}), "as a file and as a folder"),
        ("a.zip", b"PK and no more", "a.zip cannot be unpacked: File is not a zip file"),
        ("a.tar", b"no tar at all" * 100, "a.tar cannot be unpacked"),
        ("a.zip", zipped({}), "no file there"),
        ("a.zip", zipped({"b\x07.csv": ROWS}), "cannot be printed"),
    ],
)  # fmt: skip
def test_an_archive_that_would_do_harm_is_refused_and_leaves_nothing(
    refused: Refused, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    error = refused({f"in/{name}": content})
    assert isinstance(error, Rejected)
    assert says in error.message
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(unpacked_bytes=5_000_000, unpacked_ratio=1e9), "5,000,000 bytes (setting `source_unpacked_bytes`)"),
        (Limits(unpacked_ratio=10), "as bombs do (setting `source_unpacked_ratio`)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "name", ["a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zst", "a.zip", "a.tgz", "a.tar.xz"]
)
def test_a_bomb_is_refused_once_it_is_past_the_limit(
    refused: Refused, name: str, limits: Limits, says: str
) -> None:
    content = b"x\n" + b"1\n" * 3_000_000
    for ending, pack in PACKED.items():
        if name == f"a.csv{ending}":
            bomb = pack(content)
    if name in ARCHIVES:
        bomb = ARCHIVES[name]({"b.csv": content})
    assert says in refused({name: bomb}, limits=limits).message


def test_an_xz_that_asks_for_gigabytes_of_memory_is_refused(refused: Refused) -> None:
    greedy = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**29}]
    packer = lzma.LZMACompressor(filters=greedy)
    packed = packer.compress(ROWS) + packer.flush()
    assert "Memory usage limit" in refused({"a.csv.xz": packed}).message


def test_streams_of_xz_may_be_filled_up_between_and_may_not_be_followed_by_anything_else(
    read: Read, refused: Refused
) -> None:
    one, other = lzma.compress(ROWS), lzma.compress(b"3,c\n")
    assert read({"a.csv.xz": one + bytes(8) + other + bytes(4)}).height == 3
    assert "cannot be unpacked" in refused({"a.csv.xz": one + b"more"}).message


def test_an_archive_of_too_many_files_is_refused(refused: Refused) -> None:
    archive = zipped({f"{number}.csv": ROWS for number in range(11)})
    error = refused({"a.zip": archive}, limits=Limits(members=10))
    assert error.message == "a.zip holds more than 10 files (setting `source_members`)"


def test_a_zip_that_lies_about_its_sizes_is_refused(refused: Refused) -> None:
    archive = bytearray(zipped({"b.csv": ROWS * 1000}))
    place = archive.index(b"PK\x01\x02") + 24
    archive[place : place + 4] = struct.pack("<I", 10)
    error = refused({"a.zip": bytes(archive)})
    assert "cannot be unpacked" in error.message


def test_damaged_archives_are_refused_or_read_and_never_break_us(read: Read) -> None:
    chosen = random.Random(7)
    for name in ("a.zip", "a.tar", "a.tgz", "a.tar.xz", "a.tar.zst"):
        whole = ARCHIVES[name]({"b.csv": ROWS, "c.csv": ROWS})
        for _ in range(60):
            damaged = bytearray(whole)
            for _ in range(chosen.randint(1, 4)):
                damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
            with contextlib.suppress(Rejected):
                read({name: bytes(damaged)}, limits=Limits(unpacked_bytes=10_000_000))


def test_a_disk_that_fills_up_while_unpacking_is_told_as_that(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the members would go, every write is answered as on a full disk.
    opened = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda path, mode="r": opened(Path("/dev/full") if "x" in mode else path, mode.replace("x", "w")),
    )
    with pytest.raises(Full, match=r"no room on the disk to unpack a\.zip"):
        read({"a.zip": zipped({"b.csv": ROWS * 10_000})})


@pytest.fixture
def changing(tmp_path: Path) -> tuple[formats.Source, Path]:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x\n" + b"1\n" * 200_000)
    return formats.Source("a.csv", path), path


@pytest.mark.parametrize("keeps_its_time", [False, True])
def test_a_file_that_changes_while_it_is_read_is_read_again_later(
    changing: tuple[formats.Source, Path], keeps_its_time: bool
) -> None:
    source, path = changing
    rows = formats.batches([source], Format())
    next(rows)
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(300_000)
        file.write(b"2")
    if keeps_its_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(NotNow, match=r"a\.csv changed while it was read") as raised:
        list(rows)
    assert raised.value.delay_s == _source.AGAIN_S


def test_a_change_shows_in_the_times_of_a_file_that_has_been_as_it_is_for_long(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(ROWS)
    later = path.stat().st_ctime_ns + 10**12
    check = formats.Source("a.csv", path, now_ns=lambda: later).begin()
    check()
    path.write_bytes(ROWS)
    with pytest.raises(NotNow):
        check()


def test_a_file_that_is_replaced_while_it_is_read_is_read_again_later(
    changing: tuple[formats.Source, Path],
) -> None:
    source, path = changing
    rows = formats.batches([source], Format())
    next(rows)
    other = path.with_name("other")
    other.write_bytes(b"x\n" + b"2\n" * 200_000)
    other.rename(path)
    with pytest.raises(NotNow):
        list(rows)


def test_lineage_has_the_digest_of_the_file_as_it_lies(tmp_path: Path) -> None:
    content = gzip.compress(ROWS)
    (tmp_path / "a.csv.gz").write_bytes(content)
    told = formats.Source("a.csv.gz", tmp_path / "a.csv.gz").lineage
    assert (told.digest, told.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
