"""What every history promises, and what a durable one promises on top. Every adapter found is tested."""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhall.adapters import history as histories
from modelhall.adapters.history.sqlite import open_history
from modelhall.core.errors import Rejected
from modelhall.core.ports.history import Frame, History

ADAPTERS = [
    module.name for module in pkgutil.iter_modules(histories.__path__) if not module.name.startswith("_")
]
NODE = "node/default/n1"
NOON = 1_800_000_000.0 - 1_800_000_000.0 % 3600


@pytest.fixture(params=ADAPTERS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], History]:
    module = importlib.import_module(f"{histories.__name__}.{request.param}")
    return lambda: module.open_history(tmp_path)


def told(opened: Callable[[], History], story: Callable[[History], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        history = opened()
        await story(history)
        await history.close()

    asyncio.run(go())


def frame(at: float, subject: str = NODE, **values: float) -> Frame:
    return Frame(subject=subject, at=at, values=values)


def test_a_figure_is_read_back_by_steps_with_its_mean_and_its_extremes(opened: Callable[[], History]) -> None:
    async def story(history: History) -> None:
        await history.append([frame(NOON + second, power_w=second) for second in range(20)])
        spans = await history.read(NODE, "power_w", since=NOON, until=NOON + 20, step_s=10)
        assert spans == [(NOON, 4.5, 0, 9), (NOON + 10, 14.5, 10, 19)]

    told(opened, story)


def test_subjects_and_their_figures_are_told_by_name(opened: Callable[[], History]) -> None:
    async def story(history: History) -> None:
        await history.append([frame(NOON, power_w=1, cpus_used=2), frame(NOON, "hall", unknown_tokens_s=0)])
        assert await history.subjects() == ["hall", NODE]
        assert await history.names(NODE) == ["cpus_used", "power_w"]
        assert await history.names("node/default/other") == []
        assert await history.read(NODE, "other", since=NOON, until=NOON + 9, step_s=1) == []

    told(opened, story)


@pytest.mark.parametrize("step_s", [60, 3600])
def test_minutes_and_hours_say_the_same_as_what_they_were_made_of(
    opened: Callable[[], History], step_s: float
) -> None:
    async def story(history: History) -> None:
        readings = [(NOON + 10 * number, float(number % 7)) for number in range(1000)]
        for at, value in readings:
            await history.append([frame(at, power_w=value)])
        spans = await history.read(NODE, "power_w", since=NOON, until=NOON + 10_000, step_s=step_s)
        for span in spans:
            values = [value for at, value in readings if span.at <= at < span.at + step_s]
            assert span == (span.at, pytest.approx(sum(values) / len(values)), min(values), max(values))
        assert [span.at for span in spans] == [NOON + step_s * number for number in range(len(spans))]
        assert len(spans) == -(-10_000 // step_s)

    told(opened, story)


def test_what_has_ended_is_folded_by_those_who_go_on(opened: Callable[[], History]) -> None:
    async def story(history: History) -> None:
        await history.append([frame(NOON, "run/default/short", cpus_used=1.0)])
        await history.append([frame(NOON + 7200, cpus_used=0.5)])
        spans = await history.read(
            "run/default/short", "cpus_used", since=NOON, until=NOON + 7200, step_s=3600
        )
        assert spans == [(NOON, 1, 1, 1)]

    told(opened, story)


def test_a_clock_that_jumps_loses_nothing(opened: Callable[[], History]) -> None:
    async def story(history: History) -> None:
        year_s = 365 * 86400.0
        for shift in (0.0, year_s, 0.0, -3600.0):
            for second in range(0, 180, 10):
                await history.append([frame(NOON + shift + second + shift / year_s, power_w=5.0)])
        for since in (NOON - 3600, NOON, NOON + year_s):
            spans = await history.read(NODE, "power_w", since=since, until=since + 200, step_s=60)
            assert [span.mean for span in spans][:3] == [5.0, 5.0, 5.0]

    told(opened, story)


def test_it_is_what_it_was_when_it_is_opened_again(opened: Callable[[], History]) -> None:
    async def write(history: History) -> None:
        await history.append([frame(NOON + second, power_w=second) for second in range(90)])

    async def go_on(history: History) -> None:
        await history.append([frame(NOON + 90 + second, power_w=90 + second) for second in range(90)])
        spans = await history.read(NODE, "power_w", since=NOON, until=NOON + 180, step_s=60)
        assert [span.mean for span in spans] == [29.5, 89.5, 149.5]

    told(opened, write)
    told(opened, go_on)


@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.floats(0, 1e15), min_size=1, max_size=30))
def test_a_mean_lies_between_the_least_and_the_most(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    async def story(history: History) -> None:
        await history.append([frame(NOON + 5 * number, power_w=value) for number, value in enumerate(values)])
        for span in await history.read(NODE, "power_w", since=NOON, until=NOON + 200, step_s=60):
            assert span.least * (1 - 1e-6) <= span.mean <= span.most * (1 + 1e-6)

    told(lambda: open_history(tmp_path_factory.mktemp("history")), story)


def test_a_file_keeps_to_its_size_and_lets_go_of_the_oldest(tmp_path: Path) -> None:
    most_bytes = 100 * 1024

    async def story() -> None:
        history = open_history(tmp_path, size_bytes=most_bytes)
        values = {f"power_w:{number}": 1.0 for number in range(20)}
        for hour in range(60):
            ats = [NOON + 3600 * hour + 60 * number for number in range(60)]
            await history.append([Frame(subject=NODE, at=at, values=values) for at in ats])
        until = NOON + 60 * 3600
        by_reading = await history.read(NODE, "power_w:0", since=until - 360, until=until, step_s=10)
        by_hour = await history.read(NODE, "power_w:0", since=NOON, until=until, step_s=3600)
        assert len(by_reading) == 6
        assert by_hour[-1].at == until - 3600
        assert len(by_hour) > 24, "hours are kept for longer than readings"
        await history.close()

    asyncio.run(story())
    assert (tmp_path / "history.db").stat().st_size <= 1.5 * most_bytes


def test_whoever_takes_over_goes_on_with_what_the_one_before_has_written(tmp_path: Path) -> None:
    async def story() -> None:
        before, after = open_history(tmp_path), open_history(tmp_path)
        for second in range(0, 90, 10):
            await before.append([frame(NOON + second, power_w=1)])
        assert len(await after.read(NODE, "power_w", since=NOON, until=NOON + 90, step_s=10)) == 9
        for second in range(90, 200, 10):
            await after.append([frame(NOON + second, power_w=1, cpus_used=2)])
        spans = await before.read(NODE, "power_w", since=NOON, until=NOON + 200, step_s=60)
        assert [span.at for span in spans] == [NOON, NOON + 60, NOON + 120, NOON + 180]
        await before.close()
        await after.close()

    asyncio.run(story())


def test_of_what_nothing_is_known_any_more_not_even_the_name_is_kept(tmp_path: Path) -> None:
    async def story() -> None:
        history = open_history(tmp_path, size_bytes=40 * 1024)
        for batch in range(20):
            hours = range(20 * batch, 20 * batch + 20)
            await history.append([frame(NOON + 3600 * n, f"run/default/r{n}", cpus_used=1) for n in hours])
        there = await history.subjects()
        assert "run/default/r0" not in there
        assert "run/default/r399" in there
        await history.close()

    asyncio.run(story())


WRITER = """
import asyncio, sys
from pathlib import Path
from modelhall.adapters.history.sqlite import open_history
from modelhall.core.ports.history import Frame

async def write():
    history = open_history(Path(sys.argv[1]))
    for number in range(100_000):
        await history.append([Frame(subject="hall", at=1_000_000.0 + number, values={"x": number})])
        print(number, flush=True)

asyncio.run(write())
"""


def test_what_was_appended_outlives_a_kill(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(150):
            said = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        said = max([said, *map(int, writer.stdout.read().split())])

    async def story(history: History) -> None:
        spans = await history.read("hall", "x", since=1_000_000, until=1_000_000 + said + 1, step_s=1)
        assert [span.mean for span in spans] == list(range(said + 1))

    told(lambda: open_history(tmp_path), story)


def test_a_file_that_is_no_history_is_refused_with_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"no database, " * 1000)
    with pytest.raises(Rejected, match="remove it"):
        open_history(tmp_path)
