"""The actor that holds the agent of a node, without a cluster: to hold one it needs none."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.core.node_line import Posting
from modelhall.core.ports.launcher import AttemptId, Launch
from modelhall.doors.agent.home import AgentHome, KnownRun
from modelhall.version import __version__

pytest.importorskip("ray", reason="Ray is not installed: pip install modelhall[ray]")

PATIENCE_S = 120.0
POSTING = Posting(hall="http://127.0.0.1:9", node="ray-w1", token="mh_none", address="127.0.0.1", place="one")
KEEPER = """
import sys
from modelhall.adapters.launcher.ray.actors import AgentKeeper
keeper = AgentKeeper()
for line in sys.stdin:
    version, posting = line.split(" ", 1)
    try:
        keeper.post(posting, version)
        print("posted", flush=True)
    except ValueError as error:
        print(error, flush=True)
"""
ID = AttemptId("r", 1, "ray-w1")


class Keeper:
    """An actor's process, which can be killed as one."""

    def __init__(self, folder: Path) -> None:
        self.home = AgentHome(folder / "posted" / POSTING.place)
        self._process = subprocess.Popen(
            [sys.executable, "-c", KEEPER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "MODELHALL_HOME": str(folder)},
        )  # fmt: skip

    def post(self, version: str = __version__) -> str:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{version} {POSTING.model_dump_json()}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def has_agent(self) -> bool:
        """Whether one holds the folder."""
        with (self.home.folder / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            return False


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(tmp_path)
    yield made
    made.kill()
    asyncio.run(until(made.has_agent, False))


async def until(look: Callable[[], object], wanted: object) -> None:
    """Look until this is seen."""
    deadline = time.monotonic() + PATIENCE_S
    while (seen := await _what(look())) != wanted:
        assert time.monotonic() < deadline, f"waited for {wanted}, and there is {seen}"
        await asyncio.sleep(0.02)


async def _what(seen: object) -> object:
    return await seen if isinstance(seen, Awaitable) else seen


def test_an_agent_leaves_its_work_to_the_next_one_and_ends_it_when_the_actor_is_killed(
    keeper: Keeper, tmp_path: Path
) -> None:
    async def story() -> None:
        far = ProcessLauncher(
            keeper.home.folder / "runs", blobs="folder:///none", cache=tmp_path / "cache",
            environment={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        keeper.home.know("r", KnownRun(project="default", run="r"))
        await far.start(
            Launch(
                id=ID, run="r", node=ID.node, argv=("sleep", "1000"), order=None, cpus=1.0, threads=1,
                memory_bytes=None,
            )
        )  # fmt: skip

        async def alive() -> bool | None:
            return (await far.observe([ID]))[ID].alive

        for _ in range(2):
            assert keeper.post() == "posted"
            await until(keeper.has_agent, True)
        assert await alive() is True
        keeper.kill()
        await until(alive, False)

    asyncio.run(story())


def test_no_agent_is_put_where_modelhall_has_another_version(keeper: Keeper) -> None:
    said = keeper.post("0.0.1")
    assert said == f"Modelhall {__version__} is on the node, and the hall's is 0.0.1"
    assert not keeper.has_agent()
