"""What was said to be begun or done is in the audit log, and the log is well: after kills, power cuts, a full disk,
and with two processes that write it at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import audit_lives
import power
import pytest

from modelhall.adapters.trail.folder import open_trail
from modelhall.app.audit import reading
from modelhall.app.audit.auditing import Auditing, open_auditing
from modelhall.app.clock import SystemClock
from modelhall.core.errors import Full, Unrecorded
from modelhall.core.ports.trail import Lines
from modelhall.trust.audit.entry import Entry
from modelhall.trust.audit.heads import Head, verifying_key_in
from modelhall.trust.audit.proof import Verdict

SEED = 20_251_122
KILLS = power.cuts(6, 60)
CUTS = power.cuts(6, 60)
DISK_BYTES = 2 * 2**20

no_tmpfs = pytest.mark.skipif(bool(reason := power.why_not()), reason=reason or "can be")
no_image = pytest.mark.skipif(bool(reason := power.why_not(image=True)), reason=reason or "can be")


def verdict(home: Path, kept: Head | None = None) -> Verdict:
    """As `hall audit verify` has it."""
    key = verifying_key_in(home / "keys" / "audit.pub")
    return reading.verdict(open_trail(home / "audit"), key, kept=kept)


def entries(home: Path) -> Iterator[Entry]:
    trail = open_trail(home / "audit")
    parts: Iterable[Lines] = (trail.read(part.name) for part in trail.parts())
    return (Entry.model_validate_json(line) for lines in parts for line in lines.whole)


def check_all_is_there(home: Path, said: Iterable[tuple[str, str]]) -> None:
    """Everything that was said is in the log, and nothing of it twice."""
    begun: dict[str, int] = {}
    done: dict[str, int] = {}
    for entry in entries(home):
        if entry.sort == "intent":
            assert entry.targets[0] not in begun
            begun[entry.targets[0]] = entry.number
        elif entry.sort == "outcome":
            assert entry.of == begun[entry.targets[0]]
            done[entry.targets[0]] = entry.number
    for word, target in said:
        assert target in (begun if word == "begun" else done), f"seed {SEED}: {word} {target} is not there"


def started(home: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, audit_lives.__file__, str(home), name, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def words(line: str) -> tuple[str, str]:
    word, target = line.split()
    return word, target


def test_whatever_was_said_when_it_was_killed_is_there_and_the_next_one_goes_on(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    said: list[tuple[str, str]] = []
    for life in range(KILLS):
        left = rng.randrange(20, 400)
        with started(tmp_path, f"life{life}", audit_lives.AT_ONCE) as process:
            go(process)
            assert process.stdout is not None
            for line in process.stdout:
                # A line that was said half is what was not yet said.
                if line.endswith("\n"):
                    said.append(words(line))
                left -= 1
                if left == 0:
                    process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        found = verdict(tmp_path)
        assert found.is_well, found.wrong
    assert len(said) > 20 * KILLS
    check_all_is_there(tmp_path, said)
    assert len(found.open) <= KILLS * audit_lives.ACTORS


def test_two_processes_write_one_chain_and_both_are_wholly_in_it(tmp_path: Path) -> None:
    count = 400
    processes = [started(tmp_path, name, count) for name in ("a", "b")]
    for process in processes:
        go(process)
    said = []
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        said += [words(line) for line in output.splitlines()]
    assert len(said) == 2 * 2 * count
    check_all_is_there(tmp_path, said)
    found = verdict(tmp_path, asyncio.run(a_head(tmp_path)))
    assert (found.is_well, found.open) == (True, ())
    writers = [entry.who for entry in entries(tmp_path) if entry.who in ("a", "b")]
    turns = sum(one != other for one, other in itertools.pairwise(writers))
    assert turns > 10, "both wrote all the time"


async def a_head(home: Path) -> Head:
    auditing = open_auditing(home, SystemClock())
    head = await auditing.head()
    await auditing.close()
    return head


@no_image
@pytest.mark.timeout(1800 if power.tortured() else 300)
def test_whatever_was_said_before_the_power_was_cut_is_there() -> None:
    said = 0
    for life, missing, verdict, count in lives_with_cuts():
        assert (missing, verdict) == ([], ("well", None)), f"seed {SEED}, life {life}"
        said = count
    assert said > CUTS


@no_image
@pytest.mark.timeout(1800 if power.tortured() else 300)
def test_these_cuts_would_find_a_log_that_does_not_sync() -> None:
    assert any(missing for _, missing, _, _ in lives_with_cuts(does_sync=False))


def lives_with_cuts(*, does_sync: bool = True) -> Iterator[tuple[int, list[Any], Any, int]]:
    """Cut the power `CUTS` times; after each: what was said and is not there, whether the log is well, and how much
    was said until now."""
    rng = random.Random(SEED)
    said: list[Any] = []
    with power.machine() as machine:
        for life in range(CUTS):
            said += machine.live(audit_lives.act_until_cut, life, rng.uniform(0.0, 0.15), does_sync)
            # By another life, since the disk is the machine's.
            *there, well = machine.live(look)
            found = set(there)
            yield life, [one for one in said if one not in found], well, len(said)


def look(say: power.Say, folder: Path) -> None:
    """Say what is in the log, and last whether it is well."""
    for entry in entries(folder) if (folder / "audit").exists() else ():
        if entry.sort in ("intent", "outcome"):
            say(("begun" if entry.sort == "intent" else "done", entry.targets[0]))
    wrong = verdict(folder).wrong if (folder / "keys" / "audit.pub").exists() else None
    say(("well", None) if wrong is None else ("wrong", wrong.problem))


# A full disk.


@pytest.fixture
def disk() -> Iterator[Path]:
    with power.tmpfs(DISK_BYTES) as folder:
        yield folder


def fill(disk: Path) -> Path:
    """Take all room; return what is to be removed to have it back."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096) == 4096:
            pass
    return filler


async def act(auditing: Auditing, disk: Path | None = None) -> None:
    """Act on so much that it takes new room; with `disk`, that is filled under way."""
    targets = [f"run/default/{'x' * 40}-{number}" for number in range(100)]
    async with auditing.action(who="anna", address="", verb="apply", targets=targets) as action:
        action.outcome(revisions={targets[0]: 3}, status=200)
        if disk is not None:
            fill(disk)


@no_tmpfs
def test_on_a_full_disk_nothing_is_begun_and_what_was_done_meanwhile_is_recorded_later(disk: Path) -> None:
    async def story() -> None:
        auditing = open_auditing(disk, SystemClock())
        await act(auditing)
        with pytest.raises(Unrecorded, match="as soon as it can be written"):
            await act(auditing, disk)
        with pytest.raises(Full):
            await act(auditing)
        found = verdict(disk)
        assert (found.is_well, len(found.open)) == (True, 1)
        await auditing.close()
        (disk / "filler").unlink()
        auditing = open_auditing(disk, SystemClock())
        await act(auditing)
        found = verdict(disk, await auditing.head())
        assert (found.is_well, found.open) == (True, ())
        outcomes = [entry.outcome for entry in entries(disk) if entry.outcome is not None]
        assert [(one.result, list(one.revisions.values())) for one in outcomes] == 3 * [("done", [3])]
        await auditing.close()

    asyncio.run(asyncio.wait_for(story(), 60))


@no_tmpfs
def test_a_log_that_cannot_be_begun_for_lack_of_room_is_full(disk: Path) -> None:
    async def story() -> None:
        auditing = open_auditing(disk, SystemClock())
        filler = fill(disk)
        with pytest.raises(Full):
            await act(auditing)
        filler.unlink()
        await act(auditing)
        assert verdict(disk, await auditing.head()).is_well
        await auditing.close()

    asyncio.run(asyncio.wait_for(story(), 60))
