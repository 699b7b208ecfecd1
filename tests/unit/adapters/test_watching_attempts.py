"""The hall sees every attempt for what it is, at little cost, whatever clock is set and whoever dies when."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attempts import Attempts, is_gone

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher.process import SLOWEST_START_S
from modelhall.adapters.launcher.supervision import record
from modelhall.core import files
from modelhall.core.errors import Full, NotNow
from modelhall.core.ports.launcher import AttemptId


def test_a_report_is_read_when_it_has_changed_and_only_then(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = attempts.start("exec sleep 1000")
    attempts.until((attempts.work(id) / supervisor.CHILD).exists)
    attempts.see(id)
    report = attempts.work(id) / record.REPORT
    files.write_json(report, {"metrics": {"loss": 0.5}})
    assert attempts.see(id).metrics == {"loss": 0.5}
    with monkeypatch.context() as patched:
        patched.setattr(record, "read", lambda *_: pytest.fail("it was read again"))
        for _ in range(3):
            assert attempts.see(id).metrics == {"loss": 0.5}
    files.write_json(report, {"metrics": {"loss": 0.25}})
    assert attempts.see(id).metrics == {"loss": 0.25}


def test_a_clock_that_is_set_does_not_give_up_a_supervisor_that_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    attempts = Attempts(tmp_path, monotonic=lambda: now)
    monkeypatch.setattr(sys, "executable", "/bin/true")
    id = attempts.start("touch ran")
    for file_time in (0, 2**33):
        os.utime(attempts.work(id), (file_time, file_time))
        assert attempts.see(id).alive is True
    now += SLOWEST_START_S
    assert attempts.see(id).alive is False
    attempts.close()


MOMENTS = ("claimed", "child-started", "child-recorded", "child-ended", "exit-written")
DOES = "echo once >> ../starts; echo $$ > pid; sleep 1000 & echo $! > other; while [ ! -e go ]; do sleep 0.01; done"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_supervisor_may_die_at_any_moment_and_nothing_of_its_attempt_lives_or_comes_again(
    tmp_path: Path, moment: str
) -> None:
    attempts = Attempts(tmp_path, failpoints=f"supervisor.{moment}")
    id = attempts.start(DOES)
    if moment in ("child-ended", "exit-written"):
        attempts.pid_in(id, "other")
        (attempts.work(id) / "go").touch()
    exit = attempts.end(id)
    assert exit.code == (0 if moment == "exit-written" else None)
    for name in ("pid", "other"):
        path = attempts.work(id) / name
        if path.exists() and path.read_text():
            attempts.until(lambda path=path: is_gone(int(path.read_text())))  # type: ignore[misc]
    attempts.launcher = attempts.again(failpoints="")
    attempts.start(DOES)
    assert attempts.end(id).code == exit.code
    starts = attempts.runs / "r" / "starts"
    assert not starts.exists() or starts.read_text() == "once\n"
    attempts.close()


HALL = """
import asyncio, os, sys
from pathlib import Path
from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.core import failpoints
from modelhall.core.ports.launcher import AttemptId, Launch
failpoints.arm("launcher." + sys.argv[2])
launcher = ProcessLauncher(Path(sys.argv[1]), blobs="", cache=Path("/none"), environment={"PATH": os.environ["PATH"]})
argv = ("sh", "-c", "echo once >> ../starts")
asked = Launch(
    id=AttemptId("r", 1), run="r", node="local", argv=argv, order={}, cpus=1, threads=1, memory_bytes=None
)
asyncio.run(launcher.start(asked))
"""


@pytest.mark.parametrize("moment", ["before-folder", "folder-made", "launch-written", "supervisor-spawned"])
def test_a_hall_may_die_at_any_moment_of_a_start_and_the_attempt_has_begun_once_or_never(
    attempts: Attempts, moment: str
) -> None:
    killed = subprocess.run([sys.executable, "-c", HALL, str(attempts.runs), moment], check=False)
    assert killed.returncode == -9
    id = AttemptId("r", 1)
    if attempts.see(id).alive is None:
        assert moment == "before-folder"
        attempts.start("echo once >> ../starts")
    attempts.end(id)
    starts = attempts.runs / "r" / "starts"
    assert not starts.exists() or starts.read_text() == "once\n"
    assert not (starts.exists() and moment in ("folder-made", "launch-written"))


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, Full), (errno.EIO, NotNow)])
def test_an_attempt_the_disk_cannot_take_has_not_begun_and_may_be_asked_for_again(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_json", refused)
        with pytest.raises(error, match="run 'r' cannot be started"):
            attempts.start("exit 3")
    id = AttemptId("r", 1)
    assert attempts.see(id).alive is None
    attempts.start("exit 3")
    assert attempts.end(id).code == 3


def test_a_run_can_be_stopped_on_a_full_disk(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    id = attempts.start("exec sleep 1000")
    attempts.until((attempts.work(id) / supervisor.CHILD).exists)
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_json", refused)
        attempts.stop(id, grace_s=1000)
    assert attempts.end(id).stopped


def test_asking_a_run_to_stop_again_does_not_put_its_end_off(attempts: Attempts) -> None:
    id = attempts.start("trap 'echo told' TERM; touch here; while :; do sleep 0.01; done")
    attempts.until((attempts.work(id) / "here").exists)
    attempts.stop(id, grace_s=1000)
    attempts.until(lambda: b"told" in attempts.log(id).data)
    attempts.stop(id, grace_s=0.05)
    attempts.stop(id, grace_s=1000)
    attempts.end(id)
    assert attempts.log(id).data.count(b"told") == 1
