"""What every trail promises, and what one in a folder promises on top. Every adapter found is tested."""

from __future__ import annotations

import fcntl
import os
import pkgutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from modelhall.adapters import trail as trails
from modelhall.adapters.trail.folder import FolderTrail, open_trail
from modelhall.adapters.trail.memory import Memory, MemoryTrail
from modelhall.core.errors import Full, NotNow, Tampered
from modelhall.core.ports.trail import Lines, Tail, Trail

Open = Callable[[], Trail]


ADAPTERS = [module.name for module in pkgutil.iter_modules(trails.__path__) if module.name[0] != "_"]


@pytest.fixture(params=ADAPTERS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one and the same trail again and again, with parts of three lines."""
    memory = Memory()
    kinds: dict[str, Open] = {
        "memory": lambda: MemoryTrail(memory, lines_a_part=3),
        "folder": lambda: FolderTrail(tmp_path / "trail", rotate_bytes=3 * len(b"line 0\n")),
    }
    return kinds[request.param]


def append(trail: Trail, *lines: str) -> Tail:
    """Append lines; what the trail said about its tail."""
    tails: list[Tail] = []

    def make(tail: Tail) -> Sequence[bytes]:
        tails.append(tail)
        return [line.encode() for line in lines]

    trail.append(make)
    return tails[0]


def content(trail: Trail) -> list[str]:
    return [line.decode() for part in trail.parts() for line in trail.read(part.name).whole]


def test_lines_are_read_in_the_order_they_were_appended_whoever_opens_it(opened: Open) -> None:
    trail = opened()
    assert (trail.parts(), content(trail)) == ([], [])
    append(trail, "line 0", "line 1")
    append(trail, "line 2")
    append(opened(), "line 3")
    for one in (trail, opened()):
        assert content(one) == ["line 0", "line 1", "line 2", "line 3"]


def test_a_part_that_has_its_size_is_followed_by_another_and_whoever_appends_is_told(opened: Open) -> None:
    trail = opened()
    begins = [append(trail, f"line {number}").begins for number in range(7)]
    assert begins == [True, False, False, True, False, False, True]
    names = [part.name for part in trail.parts()]
    assert names == sorted(names)
    assert [len(trail.read(name).whole) for name in names] == [3, 3, 1]


def test_whoever_appends_sees_first_the_newest_part_and_then_what_others_have_appended(opened: Open) -> None:
    trail = opened()
    assert append(trail, "line 0", "line 1", "line 2").unread == ()
    assert append(trail, "line 3").unread == ()
    other = opened()
    assert append(other, "line 4", "line 5").unread == (b"line 3",)
    assert append(other, "line 6").unread == ()
    assert append(trail, "line 7").unread == (b"line 4", b"line 5", b"line 6")
    assert append(other).unread == (b"line 7",)
    assert append(other).unread == (), "also when nothing was appended"


def test_nothing_is_there_when_the_one_who_makes_the_lines_fails(opened: Open) -> None:
    trail = opened()
    append(trail, "line 0")

    def fail(tail: Tail) -> Sequence[bytes]:
        raise Tampered("not what I wrote")

    append(opened(), "line 1")
    with pytest.raises(Tampered):
        trail.append(fail)
    assert content(trail) == ["line 0", "line 1"]
    assert append(trail, "line 2").unread == (b"line 1",), "it is shown again"


def test_what_is_owed_is_shown_until_something_was_appended(opened: Open) -> None:
    trail = opened()
    append(trail, "line 0")
    trail.owe([b"a", b"b"])
    trail.owe([b"c"])
    assert content(trail) == ["line 0"]
    assert append(opened()).owed == (b"a", b"b", b"c")
    assert append(opened(), "line 1").owed == (b"a", b"b", b"c")
    assert append(trail, "line 2").owed == ()


def test_a_part_has_another_stamp_when_its_content_is_another(opened: Open) -> None:
    trail = opened()
    for number in range(4):
        append(trail, f"line {number}")
    first, second = trail.parts()
    append(trail, "line 4")
    assert trail.parts()[0] == first
    assert trail.parts()[1].stamp != second.stamp
    with pytest.raises(Tampered, match="not there"):
        trail.read("none")


# In a folder.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "trail"


def test_half_a_line_at_the_end_is_cut_off_kept_and_shown_until_something_was_appended(folder: Path) -> None:
    append(open_trail(folder), "line 0", "line 1")
    part = folder / "00000001.jsonl"
    with part.open("ab") as file:
        file.write(b"half")
    assert open_trail(folder).read(part.name) == Lines((b"line 0", b"line 1"), b"half")
    assert append(open_trail(folder)).torn == b"half"
    assert part.read_bytes() == b"line 0\nline 1\n"
    trail = open_trail(folder)
    assert append(trail, "line 2").torn == b"half"
    assert append(trail, "line 3").torn == b""
    assert content(trail) == ["line 0", "line 1", "line 2", "line 3"]


def test_half_a_line_of_another_process_is_cut_off_also_while_this_one_goes_on(folder: Path) -> None:
    trail = open_trail(folder)
    append(trail, "line 0")
    with (folder / "00000001.jsonl").open("ab") as file:
        file.write(b"line 1\nhalf")
    tail = append(trail, "line 2")
    assert (tail.unread, tail.torn) == ((b"line 1",), b"half")
    assert content(trail) == ["line 0", "line 1", "line 2"]


def test_a_part_that_a_crash_left_without_a_line_is_begun_again(folder: Path) -> None:
    append(open_trail(folder), "line 0")
    (folder / "00000002.jsonl").write_bytes(b"ha")
    tail = append(open_trail(folder), "line 1")
    assert (tail.unread, tail.begins, tail.torn) == ((b"line 0",), True, b"ha")
    assert (folder / "00000002.jsonl").read_bytes() == b"line 1\n"


def test_a_trail_that_was_cut_or_removed_under_way_is_noticed_before_anything_is_appended(
    folder: Path,
) -> None:
    trail = open_trail(folder)
    append(trail, "line 0", "line 1")
    os.truncate(folder / "00000001.jsonl", len(b"line 0\n"))
    with pytest.raises(Tampered, match="was cut: it had 14 bytes, and has 7"):
        append(trail, "line 2")
    (folder / "00000001.jsonl").unlink()
    with pytest.raises(Tampered, match="not there any more"):
        append(trail, "line 2")


def test_what_could_not_be_synced_is_not_there_and_room_for_what_is_owed_was_set_aside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = open_trail(folder)
    append(trail, "line 0")
    real = os.fsync

    def no_room(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(Full, match="free some room"):
        append(trail, "line 1")
    assert content(trail) == ["line 0"]
    size_bytes = (folder / "owed").stat().st_size
    trail.owe([b"x" * 1000])
    assert (folder / "owed").stat().st_size == size_bytes
    with pytest.raises(Full, match="used up"):
        trail.owe([b"x" * size_bytes])
    assert append(trail, "line 2").owed == (b"x" * 1000,)
    assert content(trail) == ["line 0", "line 2"]


def test_who_cannot_have_the_trail_soon_is_told_to_ask_again(folder: Path) -> None:
    append(open_trail(folder), "line 0")
    trail = FolderTrail(folder, longest_wait_s=0.05)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(NotNow, match="has been held"):
            append(trail, "line 1")
        with pytest.raises(NotNow, match="has been held"):
            trail.read("00000001.jsonl")
    append(trail, "line 1")


def test_a_copy_without_a_lock_can_be_read_and_nothing_is_made_in_it(folder: Path, tmp_path: Path) -> None:
    append(open_trail(folder), "line 0")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "00000001.jsonl").write_bytes((folder / "00000001.jsonl").read_bytes())
    assert content(open_trail(copy)) == ["line 0"]
    assert [path.name for path in copy.iterdir()] == ["00000001.jsonl"]


def test_many_threads_append_to_one_folder_and_every_line_is_there_once(folder: Path) -> None:
    def work(name: int) -> None:
        trail = FolderTrail(folder, rotate_bytes=200)
        for number in range(20):
            append(trail, f"{name}-{number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = content(open_trail(folder))
    assert sorted(found) == sorted(f"{name}-{number}" for name in range(4) for number in range(20))
    for name in range(4):
        own = [line for line in found if line.startswith(f"{name}-")]
        assert own == [f"{name}-{number}" for number in range(20)], "each in its order"
