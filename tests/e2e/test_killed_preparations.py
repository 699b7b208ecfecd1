"""A preparation that is killed, cancelled and gone on with, in real processes: the same bytes, no shard twice."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_hall import SOON_S, RealHall, environment, until

from modelhall.core.program import Order

pytestmark = pytest.mark.e2e

ROWS = 210_000
SHARDS = 4  # of 65,536 rows
STEPS = [
    {"clean": {"strip_html": True}},
    {"deduplicate": {}},
    {"split": {"seed": 3}},
    {"shuffle": {"seed": 5}},
]
PASSED = re.compile(r"^(\d+) of (\d+): .*: done, (\d+) shards made, (\d+) found$", re.M)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    lines = (f"{number},<b>word {number % 977}</b> and {number * 7 % 1009}\n" for number in range(ROWS))
    path.write_text("number,text\n" + "".join(lines))
    return path


class Attempts:
    """The attempts at one preparation, each a process group of its own."""

    def __init__(self, folder: Path, source: Path, blobs: Path) -> None:
        self.state = folder / "state"
        self._folder = folder
        self._what = {"source": str(source), "format": {}, "prepare": STEPS, "max_damaged": 0.0}
        self._blobs = blobs
        self._count = 0

    def start(self, threads: int) -> subprocess.Popen[bytes]:
        self._count += 1
        work = self._folder / str(self._count)
        for place in (work, self.state, self._folder / "cache"):
            place.mkdir(parents=True, exist_ok=True)
        order = Order(
            run="r", attempt=self._count, what=self._what, blobs=f"folder://{self._blobs}", work=work,
            state=self.state, cache=self._folder / "cache", threads=threads,
        )  # fmt: skip
        (work / "order.json").write_text(order.model_dump_json())
        with (work / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "modelhall.stages.prepare", "order.json"], cwd=work, env=environment(),
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def finish(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.wait(240) == 0, self.log(self._count)
        return json.loads((self._folder / str(self._count) / "result.json").read_text())["output"]

    def log(self, attempt: int) -> str:
        return (self._folder / str(attempt) / "log").read_text()

    def shards(self) -> dict[Path, int]:
        """Every shard that is whole, and the inode of its notes."""
        found = {}
        for notes in self.state.glob("versions/*/[0-9][0-9]/[0-9]*/notes.json"):
            with contextlib.suppress(FileNotFoundError):
                found[notes] = notes.stat().st_ino
        return found


def test_a_killed_preparation_goes_on_in_new_processes_to_the_same_bytes_and_makes_no_shard_twice(
    source: Path, tmp_path: Path
) -> None:
    whole = Attempts(tmp_path / "whole", source, tmp_path / "blobs-whole")
    made = whole.finish(whole.start(threads=1))

    broken = Attempts(tmp_path / "broken", source, tmp_path / "blobs-broken")
    first = broken.start(threads=1)
    until(lambda: len(_of_pass(broken, 1)) >= 2, "some shards of the first pass", every_s=SOON_S)
    broken.kill(first)
    kept = _of_pass(broken, 1)

    second = broken.start(threads=2)
    seen = until(lambda: _grown(broken, kept), "more shards, by other processes", every_s=SOON_S)
    assert {path: seen.get(path, inode) for path, inode in kept.items()} == kept
    done = broken.finish(second)
    assert (done["version"], done["artifact"]) == (made["version"], made["artifact"])

    passes = [tuple(map(int, told)) for told in PASSED.findall(broken.log(2))]
    assert passes[0] == (1, len(STEPS), SHARDS - len(kept), len(kept))
    assert [made_now + found for *_, made_now, found in passes] == [SHARDS] * len(STEPS)


def test_a_cancelled_preparation_is_resumed_from_what_it_had_done(
    source: Path, new_hall: Callable[[], RealHall]
) -> None:
    hall = new_hall()
    steps = json.dumps(STEPS)
    done = hall.apply(f"kind: dataset\nname: many\nsource: {source}\nprepare: {steps}\n")
    assert done.code == 0, done.err
    run = until(lambda: next(iter(hall.runs("prepare")), None), "the run")
    state = hall.home / "runs" / run.uid / "state"
    until(lambda: len(list(state.glob("versions/*/01/0*/notes.json"))) >= 2, "some shards", every_s=SOON_S)
    assert hall.command("cancel", run.key.name).code == 0
    until(lambda: hall.get("run", run.key.name).status.state == "cancelled", "the end of the run")
    kept = Counter(int(notes.parents[1].name) for notes in state.glob("versions/*/*/0*/notes.json"))
    assert kept
    assert "hall resume" in hall.get("dataset", "many").status.reason

    assert hall.command("resume", run.key.name).code == 0
    (found,) = hall.wait(("dataset", "many"))
    assert found.status.state == "ready"
    passed = until(lambda: PASSED.findall(hall.command("logs", run.key.name).out), "what it said")
    log = hall.command("logs", run.key.name).out
    place, _, _, found_there = map(int, passed[0])
    assert found_there == kept[place]
    assert re.search(r"rows, [\d,]+ a second, .* left", log)
    refused = hall.command("resume", run.key.name)
    assert (refused.code, "is succeeded" in refused.err) == (2, True)


def _of_pass(attempts: Attempts, number: int) -> dict[Path, int]:
    return {
        path: inode for path, inode in attempts.shards().items() if path.parents[1].name == f"{number:02d}"
    }


def _grown(attempts: Attempts, kept: dict[Path, int]) -> dict[Path, int] | None:
    """The shards of the first pass once there are more than were kept, or all of them are behind it."""
    now = _of_pass(attempts, 1)
    beyond = any(path.parents[1].name > "01" for path in attempts.shards())
    return now or kept if len(now) > len(kept) or beyond else None
