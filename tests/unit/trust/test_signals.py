"""Signals on their way from one process to another: nothing twice, nothing lost, and no flood."""

from __future__ import annotations

from pathlib import Path

from modelhall.trust import signals
from modelhall.trust.signals import Journal, Reader, Signal, Summary


def unknown(place: str, at: float = 1.0, count: int = 1) -> Signal:
    return Signal(kind="unknown", at=at, place=place, count=count)


def test_what_is_alike_is_counted() -> None:
    summary = Summary()
    for at in range(1000):
        summary.note(unknown("192.0.2.1", float(at)))
    summary.note(unknown("192.0.2.2"))
    assert summary.take() == [unknown("192.0.2.1", 999.0, 1000), unknown("192.0.2.2")]
    assert summary.take() == []


def test_a_flood_from_everywhere_becomes_one_more_line() -> None:
    summary = Summary(most=10)
    for number in range(10_000):
        summary.note(unknown(f"10.0.{number // 250}.{number % 250}"))
    told = summary.take()
    assert len(told) == 11
    assert sum(one.count for one in told) == 10_000
    assert told[-1].place == ""


def test_a_reader_is_told_every_signal_once_also_when_it_starts_again(tmp_path: Path) -> None:
    journal, reader = Journal(tmp_path), Reader(tmp_path)
    assert reader.read() == []
    journal.write([unknown("a"), unknown("b")])
    assert [one.place for one in reader.read()] == ["a", "b"]
    reader.done()
    journal.write([unknown("c")])
    assert [one.place for one in Reader(tmp_path).read()] == ["c"]
    assert [one.place for one in reader.read()] == ["c"]
    reader.done()
    assert Reader(tmp_path).read() == []


def test_a_reader_that_was_killed_before_it_acted_is_told_again(tmp_path: Path) -> None:
    Journal(tmp_path).write([unknown("a")])
    assert len(Reader(tmp_path).read()) == 1
    assert len(Reader(tmp_path).read()) == 1


def test_files_that_are_read_go_and_those_that_nobody_reads_are_few(tmp_path: Path) -> None:
    journal, reader = Journal(tmp_path, rotate_bytes=100), Reader(tmp_path)
    for number in range(50):
        journal.write([unknown(str(number))])
    there = sorted(tmp_path.glob(signals.PATTERN))
    assert len(there) == signals.FILES_KEPT
    assert reader.read()[-1].place == "49"
    reader.read()
    assert sorted(tmp_path.glob(signals.PATTERN)) == there[-1:]


def test_a_journal_that_begins_again_follows_the_one_before(tmp_path: Path) -> None:
    Journal(tmp_path).write([unknown("a")])
    Journal(tmp_path).write([unknown("b")])
    assert [one.place for one in Reader(tmp_path).read()] == ["a", "b"]


def test_a_torn_or_damaged_line_is_passed_over(tmp_path: Path) -> None:
    Journal(tmp_path).write([unknown("a"), unknown("b")])
    (path,) = tmp_path.glob(signals.PATTERN)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"kind": "nonsense"}\n\xff\n' + lines[1] + lines[0][:20])
    reader = Reader(tmp_path)
    assert [one.place for one in reader.read()] == ["a", "b"]
    with path.open("ab") as file:
        file.write(lines[0][20:])
    assert [one.place for one in reader.read()] == ["a"]
