"""Two control planes in one home, on one PostgreSQL: whatever becomes of the one that leads, the other goes on with
what is declared, and what runs already is neither ended nor started again."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
import real_postgres
from hall_history import read_said
from mutators import WITNESS
from power import tortured

from modelhall.app import gateway, home
from modelhall.control.leadership import SILENCE_S
from modelhall.core import files

pytestmark = pytest.mark.e2e

ASKING = httpx.Client(trust_env=False, timeout=30)
"""One for all that is asked: to make one takes longer than to ask."""
ROUNDS = 10 if tortured() else 2
START_S = 60.0
TAKEOVER_S = 30.0
"""Far more than it takes; the figure that counts is printed."""
LONG_S = 12.0
"""A run that is there from before one control plane goes until after the other one has come."""


class Plane:
    """One `hall up` as people start it."""

    def __init__(self, folder: Path, url: str, number: int, *, standby: bool) -> None:
        self.log = folder / f"plane-{number}.log"
        words = ["up", "--port", "0", "--gateway-port", "0", "--home", str(folder / "home")]
        own = {name: value for name, value in os.environ.items() if not name.startswith("MODELHALL_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modelhall.doors.cli", *words, *(["--standby"] if standby else [])],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=own | {"MODELHALL_STORE": url},
                start_new_session=True,
            )  # fmt: skip
        self.address = until(self._address, f"{self.log} to say where it is", START_S)

    def status(self) -> dict[str, Any]:
        token = (Path(self.log.parent) / "home" / "token").read_text().strip()
        return ask(self.address, token, "GET", "/status")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _address(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        found = re.search(r"API\s+(http://\S+?)/\s", self.log.read_text())
        return found[1] if found else None


class Pair:
    """A home with a control plane that leads and one that stands by."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        (folder / "told").mkdir()
        self._url = url
        self._planes: list[Plane] = []
        self._runs = 0
        self.leading = self.new()
        until(self.leader_says_so, "the first to lead", START_S)
        self.waiting = self.new()

    def new(self) -> Plane:
        """Start one more; the first leads, the others stand by."""
        self._planes.append(Plane(self.folder, self._url, len(self._planes), standby=bool(self._planes)))
        return self._planes[-1]

    def leader_says_so(self) -> bool:
        said = files.read_json(self.home / home.HALL_FILE)
        return said is not None and said["pid"] == self.leading.process.pid

    def run(self, sleep_s: float, *, by: Plane) -> str:
        """Ask for a run, of one of the two."""
        self._runs += 1
        name = f"run-{self._runs}"
        command = ["python", "-I", "-S", str(WITNESS), str(self.folder / "told"), str(sleep_s), "0"]
        document = {"kind": "run", "name": name, "command": command, "resources": {"cpus": 0.1}}
        ask(by.address, self.token, "POST", "/apply", {"documents": [document]})
        return name

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def said(self, run: str) -> dict[str, Counter[str]]:
        return read_said(self.folder / "told" / "said").get(run, {})

    def state(self, run: str) -> str:
        found = ask(self.leading.address, self.token, "GET", f"/runs/{run}")
        return str(found["status"]["state"])

    def take_over(self, remove: Callable[[], None]) -> tuple[float, float]:
        """Have the leader be gone by `remove`; return how many seconds later the other one leads, and has started
        what was asked for meanwhile. The gateway answers all the while."""
        front = gateway.find(self.home)
        assert front is not None
        held = self.run(LONG_S, by=self.leading)
        until(lambda: self.said(held), f"{held} to start", START_S)
        remove()
        gone_at = time.monotonic()
        self.leading, self.waiting = self.waiting, self.leading
        asked = self.run(0.0, by=self.leading)
        self._until_with_gateway(self.leader_says_so, front)
        led_s = time.monotonic() - gone_at
        self._until_with_gateway(lambda: bool(self.said(asked)), front)
        started_s = time.monotonic() - gone_at
        assert self.said(held) == {"1": Counter(start=1)}, "what runs is left alone"
        self.held, self.asked = held, asked
        return led_s, started_s

    def see_runs_end_once(self) -> None:
        for run in (self.held, self.asked):
            until(lambda: self.state(run) == "succeeded", f"{run} to succeed", START_S)  # noqa: B023
            assert self.said(run) == {"1": Counter(start=1, end=1)}

    def end(self) -> None:
        """Stop both as people would, and see that nothing is left."""
        for plane in (self.waiting, self.leading):
            plane.process.terminate()
            assert plane.process.wait(START_S) == 0, plane.log.read_text()[-2000:]
        until(lambda: not self.left(), f"the end of {self.left()}", 10)

    def left(self) -> list[psutil.Process]:
        mark = str(self.home)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = [*process.cmdline(), process.environ().get("MODELHALL_ATTEMPT", "")]
                if process.status() != psutil.STATUS_ZOMBIE and any(mark in word for word in words):
                    found.append(process)
        return found

    def close(self) -> None:
        for plane in self._planes:
            plane.kill()
        for process in self.left():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _until_with_gateway(self, look: Callable[[], bool], front: psutil.Process) -> None:
        port = files.read_json(self.home / gateway.GATEWAY_FILE)["port"]

        def seen() -> bool:
            answer = ASKING.get(f"http://127.0.0.1:{port}/v2/health/live")
            assert answer.is_success
            assert gateway.find(self.home) == front
            return look()

        until(seen, "the other one", TAKEOVER_S)


@pytest.fixture(scope="module")
def postgres() -> Iterator[real_postgres.RealPostgres]:
    with contextlib.ExitStack() as running:
        try:
            server = running.enter_context(real_postgres.running())
        except LookupError as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture
def pair(postgres: real_postgres.RealPostgres, tmp_path: Path) -> Iterator[Pair]:
    one: Pair | None = None
    try:
        one = Pair(tmp_path, postgres.new_url())
        yield one
    finally:
        if one is not None:
            one.close()


def test_when_the_leader_is_killed_the_other_leads_and_nothing_is_run_twice(pair: Pair) -> None:
    figures = []
    for _ in range(ROUNDS):
        figures.append(pair.take_over(lambda: pair.leading.kill()))
        pair.see_runs_end_once()
        pair.waiting = pair.new()
    pair.end()
    report("kill -9", figures)


def test_a_leader_that_was_asleep_for_too_long_does_no_harm_and_stands_by_afterwards(pair: Pair) -> None:
    figures = []
    for _ in range(ROUNDS):
        sleeper = pair.leading
        figures.append(pair.take_over(lambda: os.kill(sleeper.process.pid, signal.SIGSTOP)))  # noqa: B023
        os.kill(sleeper.process.pid, signal.SIGCONT)
        # It finds out at its next write, and all it wrote by then was refused.
        until(lambda: not sleeper.status()["leads"], "it to step down", START_S)  # noqa: B023
        time.sleep(SILENCE_S + 1)
        assert pair.leader_says_so()
        assert not sleeper.status()["leads"]
        assert pair.leading.status()["leads"]
        pair.see_runs_end_once()
        # The next round has it take over again.
    pair.end()
    report("SIGSTOP", figures)


def report(how: str, figures: list[tuple[float, float]]) -> None:
    print(  # noqa: T201 - the figures are what this is for
        f"\n{how}: leads after {', '.join(f'{led:.1f}' for led, _ in figures)} s, has started what waited after "
        f"{', '.join(f'{started:.1f}' for _, started in figures)} s"
    )
    assert max(started for _, started in figures) < TAKEOVER_S


def ask(address: str, token: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """Ask, again if need be: one that was stopped within a transaction keeps others from writing for a while."""
    headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": str(uuid4())} if body else {})
    deadline = time.monotonic() + TAKEOVER_S
    while True:
        answer = ASKING.request(method, f"{address}/api/v1{path}", json=body, headers=headers)
        if answer.status_code != 503 or time.monotonic() > deadline:
            assert answer.is_success, answer.text
            return dict(answer.json())


def until(look: Callable[[], Any], what: str, deadline_s: float) -> Any:
    """Look until there is something to see, and return it."""
    deadline = time.monotonic() + deadline_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {deadline_s:g} s for {what}"
        time.sleep(0.1)
    return seen
