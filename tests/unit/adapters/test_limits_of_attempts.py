"""What an attempt may use, however this machine lets it be kept to that."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from attempts import MIB, Attempts, is_gone

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher.supervision import cgroup, subtree

KEPT_BY = ("groups", "looking")
TAKES = "x = bytearray({mib} * 2**20); x[::4096] = b'x' * ({mib} * 256)"
"""Takes memory and writes to every page, since the kernel gives nothing before."""


@pytest.fixture(params=KEPT_BY)
def kept(request: pytest.FixtureRequest, attempts: Attempts) -> Attempts:
    """Attempts whose memory is kept in each of the ways there are."""
    if request.param == "groups":
        _need_groups()
    attempts.supervise(groups=request.param == "groups")
    return attempts


@pytest.fixture
def grouped(attempts: Attempts) -> Attempts:
    _need_groups()
    return attempts


def holds(mib: int) -> str:
    return f"import time; {TAKES.format(mib=mib)}; time.sleep(1000)"


def _need_groups() -> None:
    found = subtree.prepare()
    if found is None or None in (found.memory, found.cpu, found.accounts):
        pytest.skip("control groups are not permitted here")


def test_a_run_that_takes_more_memory_than_it_asked_for_ends_alone(kept: Attempts) -> None:
    modest = kept.start(("python", "-c", holds(50)), "modest", memory_bytes=200 * MIB)
    greedy = kept.start(("python", "-c", holds(300)), "greedy", memory_bytes=200 * MIB)
    exit = kept.end(greedy)
    assert (exit.out_of_memory, exit.signal, exit.stopped) == (True, signal.SIGKILL, False)
    assert exit.peak_bytes > 150 * MIB
    assert kept.see(modest).alive is True


FORKS = f"""
import os, time
for _ in range(2):
    if os.fork() == 0:
        {TAKES.format(mib=130)}
        time.sleep(1000)
os.wait()
time.sleep(1000)
"""


def test_the_memory_of_all_processes_of_a_run_counts_together(kept: Attempts) -> None:
    id = kept.start(("python", "-c", FORKS), memory_bytes=200 * MIB)
    assert kept.end(id).out_of_memory


SHARES = f"""
import os, time
{TAKES.format(mib=120)}
for _ in range(2): os.fork()
time.sleep(1.0)
"""


def test_memory_that_processes_share_counts_once(kept: Attempts) -> None:
    exit = kept.end(kept.start(("python", "-c", SHARES), memory_bytes=200 * MIB))
    assert (exit.code, exit.out_of_memory) == (0, False)


def test_a_program_that_ends_itself_for_want_of_memory_has_not_been_ended_for_it(attempts: Attempts) -> None:
    attempts.supervise(groups=False)
    id = attempts.start(("python", "-c", "x = bytearray(2**30)"), memory_bytes=256 * MIB)
    exit = attempts.end(id)
    assert (exit.code, exit.out_of_memory) == (1, False)
    assert b"MemoryError" in attempts.log(id).data


LEAVES = """setsid sh -c 'echo $$ > escaped; exec sleep 1000' & while [ ! -s escaped ]; do sleep 0.01; done; {then}"""


def test_what_has_left_its_process_group_ends_with_its_program(kept: Attempts) -> None:
    id = kept.start(LEAVES.format(then="exit 0"))
    assert kept.end(id).code == 0
    assert is_gone(kept.pid_in(id, "escaped"))


def test_what_has_left_its_process_group_ends_with_its_supervisor_too(kept: Attempts) -> None:
    id = kept.start(LEAVES.format(then="exec sleep 1000"))
    escaped = kept.pid_in(id, "escaped")
    os.kill(kept.read(id, supervisor.CLAIM)["pid"], signal.SIGKILL)
    exit = kept.end(id)
    assert (exit.code, exit.signal) == (None, None)
    kept.until(lambda: is_gone(escaped))


def test_what_has_left_its_process_group_is_ended_when_the_run_is_stopped(kept: Attempts) -> None:
    id = kept.start(LEAVES.format(then="exec sleep 1000"))
    escaped = kept.pid_in(id, "escaped")
    kept.stop(id, grace_s=1000)
    exit = kept.end(id)
    assert (exit.signal, exit.stopped) == (signal.SIGTERM, True)
    assert is_gone(escaped)


BURNS = """
import os, time
from pathlib import Path
if os.fork() == 0:
    os.setsid()
    while time.process_time() < 0.5: pass
    os._exit(0)
os.wait()
Path("burnt").touch()
while not Path("go").exists(): time.sleep(0.01)
"""


def test_processor_time_counts_every_process_while_the_run_goes_on(kept: Attempts) -> None:
    id = kept.start(("python", "-c", BURNS))
    kept.until((kept.work(id) / "burnt").exists)
    assert kept.see(id).cpu_s >= 0.4
    (kept.work(id) / "go").touch()
    assert kept.end(id).cpu_s >= 0.4


def test_a_run_that_does_not_listen_when_its_time_is_over_is_killed(attempts: Attempts) -> None:
    attempts.supervise(timeout_grace_s=0.1)
    id = attempts.start("trap '' TERM; while :; do sleep 0.05; done", timeout_s=0.3)
    exit = attempts.end(id)
    assert (exit.timed_out, exit.signal) == (True, signal.SIGKILL)
    assert b"ended after 0.3 s, its timeout_s" in attempts.log(id).data


def test_a_time_limit_beyond_all_clocks_is_no_harm(attempts: Attempts) -> None:
    assert attempts.end(attempts.start("exit 3", timeout_s=1e300)).code == 3


def test_a_run_gets_the_processors_it_asked_for_and_a_tenth_more_and_one_that_asked_for_none_has_no_quota(
    grouped: Attempts,
) -> None:
    def quota(run: str, cpus: float) -> int:
        id = grouped.start("exec sleep 1000", run, cpus=cpus)
        grouped.until((grouped.work(id) / supervisor.CHILD).exists)
        group = cgroup.from_json(grouped.read(id, supervisor.LAUNCH)["group"])
        assert group.cpu is not None
        if group.version == 2:
            return int((group.cpu / "cpu.max").read_text().split()[0].replace("max", "-1"))
        return int((group.cpu / "cpu.cfs_quota_us").read_text())

    assert quota("half", 0.5) == 55_000
    assert quota("free", 0) == -1


def test_nothing_of_a_control_group_is_left_when_its_run_is_over(grouped: Attempts) -> None:
    id = grouped.start("exit 0", memory_bytes=200 * MIB)
    grouped.end(id)
    folders = _folders(grouped, "r")
    killed = grouped.start("exec sleep 1000", "killed")
    grouped.until((grouped.work(killed) / supervisor.CHILD).exists)
    os.kill(grouped.read(killed, supervisor.CLAIM)["pid"], signal.SIGKILL)
    grouped.end(killed)
    folders += _folders(grouped, "killed")
    assert folders
    assert not any(folder.exists() for folder in folders)


def test_a_program_cannot_have_the_hall_kill_another_group(grouped: Attempts) -> None:
    """The file that names the group is the program's to write."""
    victim = grouped.start("exec sleep 1000", "victim")
    grouped.until((grouped.work(victim) / supervisor.CHILD).exists)
    evil = grouped.start("exec sleep 1000", "evil")
    grouped.until((grouped.work(evil) / supervisor.CHILD).exists)
    launch = grouped.work(evil) / supervisor.LAUNCH
    own = launch.read_bytes()
    launch.write_bytes((grouped.work(victim) / supervisor.LAUNCH).read_bytes())
    os.kill(grouped.read(evil, supervisor.CLAIM)["pid"], signal.SIGKILL)
    grouped.end(evil)
    assert grouped.see(victim).alive is True
    launch.write_bytes(own)


def _folders(attempts: Attempts, run: str) -> list[Path]:
    """Where the control group of a run's attempt is, or was."""
    launch = (attempts.runs / run / "1" / supervisor.LAUNCH).read_bytes()
    return cgroup.from_json(json.loads(launch)["group"]).folders
