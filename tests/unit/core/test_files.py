"""Durable files: at any instant the old content is there, or the new one, whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelhall.core import files

# Forks a writer again and again, and ends it before its first, second, third… call of the system.
KILL_AT_EVERY_CALL = """
import os, sys
from pathlib import Path
from modelhall.core import files

path = Path(sys.argv[1])

def write_and_die(at):
    calls = 0
    def count(frame, event, function):
        nonlocal calls
        if event == "c_call" and function.__module__ in ("posix", "_io", None):
            calls += 1
            if calls == at:
                os._exit(9)
    sys.setprofile(count)
    files.write_bytes(path, b"new" * 1000)
    os._exit(0)

for at in range(1, 200):
    path.write_bytes(b"old" * 2000)
    if (child := os.fork()) == 0:
        write_and_die(at)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, path.read_bytes() == b"old" * 2000, path.read_bytes() == b"new" * 1000)
    if code == 0:
        break
"""


def test_a_writer_killed_between_any_two_steps_leaves_the_old_or_the_new_whole(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", KILL_AT_EVERY_CALL, str(tmp_path / "file")]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(said) > 8
    assert said[-1] == "0 False True"
    assert set(said[:-1]) == {"9 True False", "9 False True"}, "killed before the rename, and after it"


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_content_and_no_litter(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Interrupted

    files.write_json(tmp_path / "file", {"old": True})
    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(Interrupted):
            files.write_json(tmp_path / "file", {"new": True})
    assert files.read_json(tmp_path / "file") == {"old": True}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_content_and_name_are_both_on_the_disk_before_the_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "content")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        steps.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    files.write_bytes(tmp_path / "file", b"x")
    assert steps == ["content", "rename", "folder"]


def test_what_is_not_json_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    files.write_json(tmp_path / "file", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "file", float("nan"))
    assert files.read_json(tmp_path / "file") == 1


def test_a_file_that_is_not_there_reads_as_nothing(tmp_path: Path) -> None:
    assert files.read_json(tmp_path / "none") is None


def test_a_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "token", b"secret", mode=0o600)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
