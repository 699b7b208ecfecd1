"""A machine is asked now and then for answers that are known, and is held to those it gets wrong."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from modelhall.adapters.launcher._fitness.checking import AGAIN_S, ANSWERS, EVERY_S, LIMIT_S, SOON_S, Checking
from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.twin.clock import VirtualClock

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
with (folder / "asked").open("a") as asked:
    asked.write("+")
match (folder / "mood").read_text():
    case "dies": os.kill(os.getpid(), signal.SIGSEGV)
    case "hangs": time.sleep(3600)
    case "wrong": print('{"memory": "00"}')
    case _: print("{}")
"""


class Machine:
    """One whose mood is told, on virtual time."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        self._folder = folder
        program = folder / "program.py"
        program.write_text(PROGRAM)
        self.checking = Checking(folder, monotonic=self.clock.monotonic, program=program)

    def after(self, seconds: float, mood: str) -> str:
        """What it failed in, after so long in this mood; whatever it is asked by then it has answered."""
        (self._folder / "mood").write_text(mood)
        self.clock.advance(seconds)
        self.checking.failed()
        process = self.checking._process
        if process is not None and mood != "hangs":
            process.wait()
        return self.checking.failed()

    @property
    def asked(self) -> int:
        return len((self._folder / "asked").read_text())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_this_machine_gets_the_known_answers_right_and_leaves_nothing_behind(tmp_path: Path) -> None:
    clock = VirtualClock()
    right = Checking(tmp_path, monotonic=clock.monotonic)
    right.failed()
    assert right._process is not None
    right._process.wait()
    assert right.failed() == ""
    assert list(tmp_path.iterdir()) == []


def test_what_a_machine_gets_wrong_is_in_what_it_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ANSWERS, "memory", "00")

    async def reported() -> str:
        launcher = ProcessLauncher(tmp_path, blobs=f"file://{tmp_path}", cache=tmp_path, environment={})
        deadline = time.monotonic() + 60
        while not (failed := (await launcher.nodes())[0].failed_check) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return failed

    assert asyncio.run(reported()).startswith("wrong where the answer is known: memory (")


def test_a_machine_is_asked_when_it_joins_hourly_and_soon_after_it_was_suspected(machine: Machine) -> None:
    assert machine.after(0, "well") == ""
    machine.after(EVERY_S - 1, "well")
    assert machine.asked == 1
    machine.after(1, "well")
    machine.checking.suspect()
    machine.after(SOON_S - 1, "well")
    assert machine.asked == 2
    machine.after(1, "well")
    assert machine.asked == 3


def test_one_wrong_answer_is_enough_until_it_is_right_again(machine: Machine) -> None:
    assert machine.after(0, "wrong") == "wrong where the answer is known: memory (00)"
    assert machine.after(SOON_S - 1, "well") != ""
    assert machine.after(1, "well") == ""


def test_no_answer_counts_when_it_is_missing_twice(machine: Machine) -> None:
    assert machine.after(0, "dies") == ""
    assert "and ended with -11" in machine.after(AGAIN_S, "dies")
    assert machine.after(AGAIN_S, "well") == ""


def test_an_answer_that_hangs_holds_up_nobody(machine: Machine) -> None:
    machine.after(0, "hangs")
    first = machine.checking._process
    machine.after(LIMIT_S, "hangs")
    machine.after(0, "hangs")
    assert first is not None
    assert first.wait() == -9
    second = machine.checking._process
    machine.clock.advance(LIMIT_S)
    assert "within two minutes" in machine.checking.failed()
    assert second is not None
    assert second.wait() == -9
