"""Usage journals: every request once, wherever the reader or the writer was killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_facts import request

from modelhall.adapters.book.memory import MemoryBook
from modelhall.ledger import journal
from modelhall.ledger.journal import Ingested, ingest

FIRST, SECOND, THIRD = "usage-001.jsonl", "usage-002.jsonl", "usage-003.jsonl"


def lines(*ids: str) -> bytes:
    return b"".join(json.dumps(asdict(request(id))).encode() + b"\n" for id in ids)


def read(folder: Path, book: MemoryBook) -> Ingested:
    return asyncio.run(ingest(folder, book))


def entered(book: MemoryBook) -> list[str]:
    return sorted(usage.request for usage in asyncio.run(book.unsettled(until=1e9, limit=10_000)))


def test_every_line_becomes_usage(tmp_path: Path) -> None:
    book = MemoryBook()
    (tmp_path / FIRST).write_bytes(lines("a", "b"))
    assert read(tmp_path, book) == Ingested(requests=2)
    assert asyncio.run(book.usage("a")) == request("a")


def test_a_folder_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "none", MemoryBook()) == Ingested()


def test_a_line_is_taken_when_it_is_complete(tmp_path: Path) -> None:
    book, file = MemoryBook(), tmp_path / FIRST
    file.write_bytes(lines("a", "b")[:-1])
    assert read(tmp_path, book) == Ingested(requests=1)
    file.write_bytes(lines("a", "b"))
    assert read(tmp_path, book) == Ingested(requests=1)
    assert entered(book) == ["a", "b"]


def test_a_file_is_removed_once_a_newer_one_is_there(tmp_path: Path) -> None:
    book = MemoryBook()
    (tmp_path / FIRST).write_bytes(lines("a"))
    read(tmp_path, book)
    assert (tmp_path / FIRST).exists()
    (tmp_path / SECOND).write_bytes(lines("b"))
    read(tmp_path, book)
    assert [path.name for path in tmp_path.iterdir()] == [SECOND]
    assert entered(book) == ["a", "b"]


@pytest.mark.parametrize(
    "damage",
    [
        b"not json\n",
        b"{}\n",
        b"\x00\xff\n",
        lines("a")[: len(lines("a")) // 2] + b"\n",
        json.dumps({**asdict(request("a")), "weight": float("nan")}).encode() + b"\n",
        json.dumps({**asdict(request("a")), "weight": -1}).encode() + b"\n",
        json.dumps({**asdict(request("a")), "bytes_in": 2**70}).encode() + b"\n",
        json.dumps({**asdict(request("a")), "at": float("inf")}).encode() + b"\n",
    ],
)
def test_a_damaged_line_is_counted_and_passed_over(tmp_path: Path, damage: bytes) -> None:
    book = MemoryBook()
    (tmp_path / FIRST).write_bytes(lines("before") + damage + lines("after"))
    assert read(tmp_path, book) == Ingested(requests=2, damaged=1)
    assert entered(book) == ["after", "before"]
    assert asyncio.run(book.marks([journal.DAMAGED])) == {journal.DAMAGED: 1}


def test_the_torn_end_of_a_killed_writers_file_is_counted_and_does_not_keep_it(tmp_path: Path) -> None:
    book = MemoryBook()
    (tmp_path / FIRST).write_bytes(lines("a") + lines("b")[:20])
    (tmp_path / SECOND).write_bytes(b"")
    assert read(tmp_path, book) == Ingested(requests=1, damaged=1)
    assert [path.name for path in tmp_path.iterdir()] == [SECOND]


def test_fields_of_a_newer_gateway_are_passed_over(tmp_path: Path) -> None:
    book = MemoryBook()
    (tmp_path / FIRST).write_bytes(json.dumps({**asdict(request("a")), "tokens": 7}).encode() + b"\n")
    assert read(tmp_path, book) == Ingested(requests=1)


def test_files_longer_than_one_read_are_read_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "CHUNK_BYTES", 700)
    book, ids = MemoryBook(), [f"r{number:03}" for number in range(50)]
    (tmp_path / FIRST).write_bytes(lines(*ids[:25]) + b"x" * 2000 + b"\n" + lines(*ids[25:]))
    assert read(tmp_path, book).requests == 50
    assert entered(book) == ids


class DyingBook(MemoryBook):
    """A book whose process dies at its n-th transaction, before or after it is durable."""

    def __init__(self, *, dies_at: int, after_commit: bool) -> None:
        super().__init__()
        self.left = dies_at
        self.after_commit = after_commit

    async def append(self, **what: object) -> None:  # type: ignore[override]
        self.left -= 1
        if self.left == 0 and not self.after_commit:
            raise KeyboardInterrupt
        await super().append(**what)  # type: ignore[arg-type]
        if self.left == 0:
            raise KeyboardInterrupt


@given(cuts=st.lists(st.floats(0, 1), max_size=6), dies_at=st.integers(1, 8), after_commit=st.booleans())
def test_every_request_is_entered_once_wherever_reader_and_writer_stop(
    cuts: list[float], dies_at: int, after_commit: bool
) -> None:
    ids = [f"r{number}" for number in range(8)]
    parts = {FIRST: lines(*ids[:3]), SECOND: lines(*ids[3:6]), THIRD: lines(*ids[6:])}
    size = sum(map(len, parts.values()))
    book = DyingBook(dies_at=dies_at, after_commit=after_commit)
    written = 0
    with tempfile.TemporaryDirectory() as place:
        for cut in [*sorted(cuts), 1, 1]:
            write(Path(place), parts, written, int(cut * size))
            written = int(cut * size)
            with contextlib.suppress(KeyboardInterrupt):
                read(Path(place), book)
        left = [path.name for path in Path(place).iterdir()]
    assert entered(book) == ids
    assert asyncio.run(book.marks([journal.DAMAGED])) in ({}, {journal.DAMAGED: 0})
    assert left == [THIRD]


def write(folder: Path, parts: dict[str, bytes], begin: int, end: int) -> None:
    """Write the bytes from `begin` to `end` of all parts together, each to its own file."""
    start = 0
    for name, part in parts.items():
        piece = part[max(0, begin - start) : max(0, end - start)]
        if piece:
            with (folder / name).open("ab") as file:
                file.write(piece)
        start += len(part)
