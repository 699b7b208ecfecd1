"""What a program says is kept: all of it up to a size, the newest part beyond that, and always in its place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from attempts import MIB, Attempts

from modelhall.adapters.launcher.supervision import log
from modelhall.adapters.launcher.supervision.log import LogWriter

TALKS = "import sys; [sys.stdout.write(f'{n:09}\\n') for n in range(%d)]"


def said(lines: int) -> bytes:
    return b"".join(b"%09d\n" % n for n in range(lines))


def test_of_a_long_output_the_newest_part_is_kept_and_its_offsets_stay_those_of_the_whole(
    attempts: Attempts,
) -> None:
    attempts.supervise(segment_bytes=1000)
    id = attempts.start(("python", "-c", TALKS % 2000))
    attempts.end(id)
    whole = said(2000)
    part = attempts.log(id)
    assert part.offset == 20_000 - log.KEPT_SEGMENTS * 1000
    assert part.data == whole[part.offset :]
    for offset in (part.offset, 17_001, 19_990, 20_000):
        assert attempts.log(id, offset, limit=1500).data == whole[offset : offset + 1500]
    assert sum(path.stat().st_size for path in (attempts.work(id) / log.FOLDER).iterdir()) == 4000


def test_the_last_words_of_a_program_are_not_lost(attempts: Attempts) -> None:
    id = attempts.start(("python", "-c", TALKS % 100_000))
    attempts.end(id)
    assert attempts.log(id, limit=2 * MIB).data == said(100_000)
    assert attempts.log(id, 999_990).data == b"%09d\n" % 99_999


def test_a_program_may_close_its_output_and_go_on(attempts: Attempts) -> None:
    id = attempts.start("echo before; exec >&- 2>&-; touch closed; while [ ! -e go ]; do sleep 0.01; done")
    attempts.until((attempts.work(id) / "closed").exists)
    assert attempts.see(id).alive is True
    (attempts.work(id) / "go").touch()
    assert attempts.end(id).code == 0
    assert attempts.log(id).data == b"before\n"


def test_output_stays_until_its_run_is_forgotten(attempts: Attempts) -> None:
    id = attempts.start("echo here")
    attempts.end(id)
    attempts.launcher = attempts.again()
    assert attempts.log(id).data == b"here\n"


def test_what_a_full_disk_cannot_take_is_missing_with_a_word_about_it_and_the_rest_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path / "log", segment_bytes=100)
    writer.write(b"before\n")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        writer.write(b"lost\n")
        writer.write(b"lost too\n")
    writer.write(b"after\n")
    writer.close()
    notice = b"\nhall: 14 bytes of output are missing here: No space left on device\n"
    assert log.read(tmp_path / "log", 0, 1000) == (0, b"before\n" + notice + b"after\n")


def test_output_missing_at_the_end_is_said_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path / "no" / "log")
    writer.write(b"lost\n")
    (tmp_path / "no").mkdir()
    writer.close()
    assert b"hall: 5 bytes of output are missing here" in log.read(tmp_path / "no" / "log", 0, 1000)[1]


def test_a_reader_that_fell_behind_learns_where_it_goes_on(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log", segment_bytes=10)
    writer.write(said(3))
    assert log.read(tmp_path / "log", 5, 10) == (5, said(3)[5:15])
    writer.write(said(10)[30:])
    assert log.read(tmp_path / "log", 5, 10) == (60, said(10)[60:70])
    assert log.read(tmp_path / "none", 5, 10) == (5, b"")
