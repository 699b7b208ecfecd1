"""What every launcher promises, and what one over real processes promises on top."""

from __future__ import annotations

import asyncio
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from real_slurm import RealSlurm

from modelhall.adapters import launcher as launchers
from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher._slurm.commands import Commands
from modelhall.adapters.launcher.agent import AgentLauncher, Unwanted
from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.adapters.launcher.ray.cluster import Look, Release, Reserve, Reserved, Sight
from modelhall.adapters.launcher.ray.launcher import RayLauncher
from modelhall.adapters.launcher.ray.line import Line
from modelhall.adapters.launcher.slurm import SlurmLauncher
from modelhall.adapters.launcher.virtual import Script, VirtualLauncher
from modelhall.app.clock import SystemClock
from modelhall.core import files
from modelhall.core.errors import Conflict, NotNow, Stale
from modelhall.core.kinds.run import Exit
from modelhall.core.node_line import Beat, KeptRun, Posting, Seen, Stop
from modelhall.core.ports.launcher import AttemptId, Launch, Launcher, LogPart, NodeReport, Observation
from modelhall.doors.agent.home import AgentHome, KnownRun
from modelhall.doors.agent.worker import Handed, Worker
from modelhall.twin.clock import VirtualClock
from real_ray import RealRay

PATIENCE_S = 120.0
"""How long a busy machine may take to do what it is asked to."""

Story = Coroutine[Any, Any, None]
Hall = AgentLauncher | RayLauncher


class Processes:
    """Real programs under a process launcher."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher = self.again()
        self.node = "local"

    def again(self) -> ProcessLauncher:
        """Another launcher over the same folder, as a hall that starts again has."""
        environment = {"PATH": os.environ["PATH"]}
        return ProcessLauncher(
            self.folder / "runs", blobs="folder:///none", cache=self.folder / "cache", environment=environment
        )

    def program(self, does: str) -> tuple[str, ...]:
        count = "echo started >> ../state/starts"
        return ("sh", "-c", f"{count}; " + {"ends": "exit 3", "stays": "exec sleep 1000"}.get(does, does))

    def starts(self, run: str = "r") -> int:
        path = self.folder / "runs" / run / "state" / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    async def kill(self, id: AttemptId) -> None:
        os.kill(self.read(id, supervisor.CHILD)["pid"], signal.SIGKILL)

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not await true():
            assert time.monotonic() < deadline, "this took too long"
            await asyncio.sleep(0.01)

    def read(self, id: AttemptId, name: str) -> Any:
        return json.loads((self.work(id) / name).read_text())

    def work(self, id: AttemptId) -> Path:
        return self.folder / "runs" / id.run_uid / str(id.number)

    def close(self) -> None:
        """Leave nothing running, not even a supervisor that is yet to come."""
        for folder in self.folder.glob("runs/*/[0-9]*"):
            supervisor.claim(folder, pid=None)
            for name in (supervisor.CLAIM, supervisor.CHILD):
                pid = _pid_in(folder / name)
                if pid is not None and psutil.pid_exists(pid):
                    os.kill(pid, signal.SIGKILL)
        for run in self.folder.glob("runs/*/"):
            asyncio.run(Processes.again(self).forget(run.name))


class Agents(Processes):
    """Real programs under an agent, which dials in to whichever hall has started last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = AgentHome(folder)
        self._workers: list[asyncio.Task[None]] = []
        self.far = Processes.again(self)
        """What starts programs on the node."""
        super().__init__(folder)
        self.node = "far"

    def again(self) -> Launcher:  # type: ignore[override]
        """Another hall, to which an agent over the same folder dials in."""
        return Dialled(self._hall(), self._dial, lambda id: self.work(id).exists())

    def _hall(self) -> Hall:
        handover = Handover(secrets=None, hall_secrets={}, keys=None)
        return AgentLauncher(self.folder / "hall", handover=handover, sift=self._sift)

    def _dial(self, hall: Hall) -> None:
        """Have an agent work for this hall, until the story ends."""
        worker = Worker(
            self.home, name=self.node, launcher=self.far, handed=Handed(),
            say=lambda beat: hall.hear(self.node, beat), clock=SystemClock(),
        )  # fmt: skip
        self._workers.append(asyncio.get_running_loop().create_task(worker.run()))

    async def _sift(self, node: str, kept: Sequence[KeptRun]) -> Unwanted:
        gone = tuple(run.uid for run in kept if run.uid.startswith("gone"))
        given_up = [AttemptId(run.uid, 1, node) for run in kept if run.uid.startswith("given-up")]
        return Unwanted(tuple(given_up), gone)


class NodesOfRay(Agents):
    """The same on a node of a real Ray cluster, where there is an agent before the hall puts one there."""

    def __init__(self, folder: Path, ray: RealRay) -> None:
        self._ray = ray
        super().__init__(folder)
        self.node = "ray-w1"

    def line(self, hall: str) -> Line:
        """A hall's line to the cluster."""
        environment = {"PATH": os.environ["PATH"], **self._ray.variables}
        return Line(self._ray.address, hall, folder=self.folder / "hall", environment=environment)

    async def held(self) -> dict[str, dict[str, float]]:
        """What Ray says that it holds for the hall."""
        sight = await self._line.ask(Look(), PATIENCE_S)
        assert isinstance(sight, Sight)
        return {one.name: one.amounts for one in sight.held}

    def close(self) -> None:
        """Give back what is held, or the next ones find the node full."""
        self._line.hang_up()
        asyncio.run(self._give_back())
        super().close()

    async def _give_back(self) -> None:
        line = self.line(self.folder.name)
        sight = await line.ask(Look(), PATIENCE_S)
        assert isinstance(sight, Sight)
        for one in sight.held:
            await line.ask(Release(name=one.name), PATIENCE_S)
        line.hang_up()

    def _hall(self) -> RayLauncher:
        agents = super()._hall()
        assert isinstance(agents, AgentLauncher)
        self._line = self.line(self.folder.name)
        self.hall = RayLauncher(self.folder / "hall", agents=agents, line=self._line, postings=NoPostings())
        return self.hall


class NoPostings:
    hall = ""

    async def make(self, node: str, address: str) -> Posting:
        raise NotNow("an agent is on its way by itself", delay_s=1.0)


class Dialled:
    """A hall's launcher that waits: for its node to dial in when it is first asked for anything, and for what it is
    asked to be heard there."""

    def __init__(
        self,
        hall: Hall,
        dial: Callable[[Hall], None],
        is_there: Callable[[AttemptId], bool],
    ) -> None:
        self._hall = hall
        self._dial = dial
        self._is_there = is_there
        self._is_dialled = False

    def __getattr__(self, name: str) -> Any:
        async def asked(*args: Any, **fields: Any) -> Any:
            if not self._is_dialled:
                self._is_dialled = True
                self._dial(self._hall)
            while not [node for node in await self._hall.nodes() if node.ready and not node.unfit]:
                await asyncio.sleep(0.01)
            found = await getattr(self._hall, name)(*args, **fields)
            while name == "start" and not self._is_there(args[0].id):
                await asyncio.sleep(0.01)
            while name == "taken" and not found and await self._any_alive(args[0]):
                await asyncio.sleep(0.01)
                found = await self._hall.taken(*args)
            while name == "observe" and (missing := [id for id in args[0] if id not in found]):
                await asyncio.sleep(0.01)
                found |= await self._hall.observe(missing)
            return found

        return asked

    async def _any_alive(self, ids: Sequence[AttemptId]) -> bool:
        return any(one.alive for one in (await self._hall.observe(ids)).values())


class Slurm(Processes):
    """Real programs as jobs of a real Slurm cluster, on a node of it that is this machine, too."""

    def __init__(self, folder: Path, cluster: RealSlurm) -> None:
        self.cluster = cluster
        super().__init__(folder)
        self.node = "a1"

    def again(  # type: ignore[override]
        self, word: str = "", options: Sequence[str] = (), waits_s: float = PATIENCE_S, lag_s: float = 0.2
    ) -> SlurmLauncher:
        """Another hall, which has a secret `word` of its own, and more `options` for sbatch, and gives what is over
        `lag_s` for its last words."""
        commands = Commands(environment=self.cluster.environment, partitions=["one"], options=options)
        return SlurmLauncher(
            self.folder / "runs", commands=commands, known=self.folder / "known", blobs="folder:///none",
            cache=self.folder / "cache", environment={"PATH": os.environ["PATH"]}, look_s=0.1, lag_s=lag_s,
            waits_s=waits_s, handover=Handover(secrets=None, hall_secrets={"word": lambda: word}, keys=None),
        )  # fmt: skip

    def close(self) -> None:
        self.cluster.clear()
        super().close()


class Virtual:
    """Scripts under a virtual launcher."""

    def __init__(self, _: Path) -> None:
        self._clock = VirtualClock()
        self.node = "n"
        nodes = [NodeReport(name="n", cpus=4.0, memory_bytes=2**33, processor="virtual")]
        self.launcher = VirtualLauncher(self._clock, nodes, self._script)

    def _script(self, launch: Launch) -> Script:
        return Script(takes_s=5.0, code=3, serves=launch.argv == ("stays",), result={})

    def again(self) -> VirtualLauncher:
        return self.launcher

    def program(self, does: str) -> tuple[str, ...]:
        return (does,)

    def starts(self, run: str = "r") -> int:
        return sum(launch.id.run_uid == run for launch in self.launcher.starts)

    async def kill(self, id: AttemptId) -> None:
        self.launcher.kill(id.run_uid)

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(1000):
            if await true():
                return
            self._clock.advance(1.0)
        raise AssertionError("this took too long")

    def close(self) -> None:
        pass


TORTURE = pytest.mark.skipif(
    "MODELHALL_TORTURE" not in os.environ, reason="takes minutes; `make torture` does it"
)
LAUNCHERS = ("process", "agent", "ray", "slurm", "virtual")
CLUSTERS = ("ray", "slurm")
RIGS = [pytest.param(name, marks=TORTURE) if name in CLUSTERS else name for name in LAUNCHERS]
"""Below clusters there are agents and supervisors as elsewhere, so over them all of it is tried more seldom."""
REAL = ("process", "agent", pytest.param("slurm", marks=TORTURE))


def _rig(request: pytest.FixtureRequest, folder: Path) -> Processes | Virtual:
    match request.param:
        case "slurm":
            return Slurm(folder, request.getfixturevalue("slurm")())
        case "ray":
            return NodesOfRay(folder, request.getfixturevalue("ray"))
        case name:
            return {"process": Processes, "agent": Agents, "virtual": Virtual}[name](folder)  # type: ignore[no-any-return]


def test_every_launcher_there_is_is_tested() -> None:
    found = {module.name for module in pkgutil.iter_modules(launchers.__path__) if module.name[0] != "_"}
    assert found - {"supervisor", "supervision"} == set(LAUNCHERS)


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Processes | Virtual]:
    made = _rig(request, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def ray() -> Iterator[RealRay]:
    """A cluster of a head and one node."""
    cluster = RealRay()
    try:
        cluster.start().add("w1", gpus=4)
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(params=REAL)
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Processes]:
    made = _rig(request, tmp_path)
    assert isinstance(made, Processes)
    yield made
    made.close()


def play(story: Story) -> None:
    asyncio.run(asyncio.wait_for(story, 2 * PATIENCE_S))


def launch(rig: Processes | Virtual, does: str, run: str = "r", number: int = 1, **fields: Any) -> Launch:
    some = {"argv": rig.program(does), "order": None, "cpus": 1.0, "threads": 1, "memory_bytes": None}
    return Launch(id=AttemptId(run, number, rig.node), run=run, node=rig.node, **{**some, **fields})


async def observe(launcher: Launcher, id: AttemptId) -> Observation:
    """What is seen of an attempt, as soon as there is something to say: a busy Slurm may take its time."""
    while id not in (seen := await launcher.observe([id])):
        await asyncio.sleep(0.01)
    return seen[id]


async def alive(rig: Processes | Virtual, id: AttemptId) -> bool:
    return (await observe(rig.launcher, id)).alive is True and rig.starts(id.run_uid) == 1


async def log(launcher: Launcher, id: AttemptId, offset: int = 0, limit: int = 65536) -> bytes:
    return (await launcher.log(id, offset, limit)).data


async def ended(rig: Processes | Virtual, id: AttemptId) -> Observation:
    """The observation of an attempt once it is over."""

    async def over() -> bool:
        return (await observe(rig.launcher, id)).alive is False

    await rig.until(over)
    return await observe(rig.launcher, id)


async def started(rig: Processes | Virtual, id: AttemptId) -> None:
    """Wait until an attempt's program is at work."""

    async def at_work() -> bool:
        there = isinstance(rig, Virtual) or _pid_in(rig.work(id) / supervisor.CHILD) is not None
        return there and rig.starts(id.run_uid) >= 1

    await rig.until(at_work)


def _pid_in(path: Path) -> int | None:
    return json.loads(path.read_text())["pid"] if path.exists() else None


def test_an_attempt_is_seen_alive_and_then_over_with_its_exit_code(rig: Processes | Virtual) -> None:
    async def story() -> None:
        asked = launch(rig, "ends")
        await rig.launcher.start(asked)
        assert (await observe(rig.launcher, asked.id)).alive is not None, "known from the start"
        seen = await ended(rig, asked.id)
        assert seen.exit is not None
        assert (seen.exit.code, seen.exit.signal) == (3, None)
        assert seen.exit.ended_at > 1e9
        assert await observe(rig.launcher, asked.id) == seen, "and it stays so"

    play(story())


def test_an_attempt_is_started_once_however_often_and_by_whomever_it_is_asked_for(
    rig: Processes | Virtual,
) -> None:
    async def story() -> None:
        asked = launch(rig, "ends")
        both = [rig.launcher, rig.again()]
        await asyncio.gather(*(one.start(asked) for one in both * 3))
        await ended(rig, asked.id)
        await asyncio.gather(*(one.start(asked) for one in both))
        rig.launcher = rig.again()  # type: ignore[assignment]
        again = await ended(rig, asked.id)
        assert again.exit is not None
        assert again.exit.code == 3
        assert rig.starts() == 1

    play(story())


def test_the_next_attempt_of_a_run_is_another(rig: Processes | Virtual) -> None:
    async def story() -> None:
        for number in (1, 2):
            await rig.launcher.start(launch(rig, "ends", number=number))
            await ended(rig, AttemptId("r", number, rig.node))
        assert rig.starts() == 2

    play(story())


def test_every_attempt_asked_for_is_answered_and_of_unknown_ones_nothing_is_known(
    rig: Processes | Virtual,
) -> None:
    async def story() -> None:
        unknown = [AttemptId("none", 1, rig.node), AttemptId("r", 2, rig.node)]
        await rig.launcher.start(asked := launch(rig, "stays"))
        seen = await rig.launcher.observe([*unknown, asked.id])
        assert [seen[id].alive for id in (*unknown, asked.id)] == [None, None, True]
        assert await rig.launcher.observe([]) == {}

    play(story())


def test_what_an_attempt_takes_is_told_while_it_is_alive(rig: Processes | Virtual) -> None:
    async def story() -> None:
        await rig.launcher.start(asked := launch(rig, "stays"))
        await started(rig, asked.id)
        await rig.until(lambda: alive(rig, asked.id))
        taken = await rig.launcher.taken([asked.id, AttemptId("unknown", 1, rig.node)])
        assert taken.keys() == {asked.id}
        assert taken[asked.id].cpu_s >= 0
        await rig.kill(asked.id)
        await ended(rig, asked.id)
        assert await rig.launcher.taken([asked.id]) == {}

    play(story())


def test_a_killed_program_is_over_by_its_signal(rig: Processes | Virtual) -> None:
    async def story() -> None:
        await rig.launcher.start(asked := launch(rig, "stays"))
        await started(rig, asked.id)
        await rig.kill(asked.id)
        seen = await ended(rig, asked.id)
        assert seen.exit is not None
        assert (seen.exit.code, seen.exit.signal) == (None, signal.SIGKILL)

    play(story())


def test_a_stopped_program_ends(rig: Processes | Virtual) -> None:
    async def story() -> None:
        await rig.launcher.start(asked := launch(rig, "stays"))
        await started(rig, asked.id)
        await rig.launcher.stop(asked.id, grace_s=1000)
        seen = await ended(rig, asked.id)
        assert seen.exit is not None
        assert seen.exit.signal == signal.SIGTERM

    play(story())


@pytest.mark.parametrize("does", ["stays", "ends"])
def test_an_attempt_that_runs_too_long_is_ended_and_one_that_does_not_is_left_alone(
    rig: Processes | Virtual, does: str
) -> None:
    async def story() -> None:
        await rig.launcher.start(asked := launch(rig, does, timeout_s=0.5 if does == "stays" else 1000.0))
        seen = await ended(rig, asked.id)
        assert seen.exit is not None
        how = (seen.exit.timed_out, seen.exit.signal, seen.exit.code, seen.exit.stopped)
        assert how == {"stays": (True, signal.SIGTERM, None, False), "ends": (False, None, 3, False)}[does]

    play(story())


def test_once_a_new_control_plane_leads_the_one_before_starts_nothing_more(rig: Processes | Virtual) -> None:
    async def story() -> None:
        old, new = rig.launcher, rig.again()
        await old.fence(1)
        await old.start(launch(rig, "ends", run="before", epoch=1))
        await new.fence(2)
        for asked in (launch(rig, "ends", epoch=1), launch(rig, "ends", epoch=0)):
            with pytest.raises(Stale):
                await old.start(asked)
        with pytest.raises(Stale):
            await old.fence(1)
        assert (await observe(new, AttemptId("r", 1, rig.node))).alive is None
        assert (await ended(rig, AttemptId("before", 1, rig.node))).exit is not None, "what ran goes on"
        await new.fence(2)
        await new.start(asked := launch(rig, "ends", epoch=2))
        await ended(rig, asked.id)
        assert rig.starts() == 1

    play(story())


def test_the_fence_holds_for_halls_that_start_later(rig: Processes | Virtual) -> None:
    async def story() -> None:
        await rig.launcher.fence(7)
        with pytest.raises(Stale):
            await rig.again().start(launch(rig, "ends", epoch=6))

    play(story())


def test_reading_a_log_past_its_end_gives_nothing_from_where_it_was_asked(rig: Processes | Virtual) -> None:
    async def story() -> None:
        await rig.launcher.start(asked := launch(rig, "ends"))
        await ended(rig, asked.id)
        for id in (asked.id, AttemptId("none", 1, rig.node)):
            assert await rig.launcher.log(id, 10**12) == LogPart(offset=10**12, data=b"")

    play(story())


def test_stopping_right_after_the_start_stops_it_too(rig: Processes | Virtual) -> None:
    async def story() -> None:
        await rig.launcher.start(asked := launch(rig, "stays"))
        await rig.launcher.stop(asked.id, grace_s=1000)
        seen = await ended(rig, asked.id)
        assert seen.exit is not None
        assert seen.exit.code != 0

    play(story())


def test_stopping_what_is_over_or_unknown_does_no_harm(rig: Processes | Virtual) -> None:
    async def story() -> None:
        await rig.launcher.start(asked := launch(rig, "ends"))
        seen = await ended(rig, asked.id)
        for id in (asked.id, AttemptId("none", 1, rig.node)):
            await rig.launcher.stop(id, grace_s=0)
        assert await observe(rig.launcher, asked.id) == seen
        assert (await observe(rig.launcher, AttemptId("none", 1, rig.node))).alive is None

    play(story())


def test_of_a_forgotten_run_nothing_is_known_and_others_are(rig: Processes | Virtual) -> None:
    async def story() -> None:
        for run in ("r", "other"):
            await rig.launcher.start(launch(rig, "ends", run=run))
            await ended(rig, AttemptId(run, 1, rig.node))
        await rig.launcher.forget("r")
        await rig.launcher.forget("none")
        assert (await observe(rig.launcher, AttemptId("r", 1, rig.node))).alive is None
        assert (await observe(rig.launcher, AttemptId("other", 1, rig.node))).alive is False
        assert await log(rig.launcher, AttemptId("r", 1, rig.node), 0) == b""

    play(story())


def test_the_nodes_are_there_with_what_they_have(rig: Processes | Virtual) -> None:
    async def story() -> None:
        (node,) = await rig.launcher.nodes()
        assert (node.name, node.ready) == (rig.node, True)
        assert node.cpus > 0
        assert node.memory_bytes > 2**20

    play(story())


def test_an_agent_that_comes_back_ends_what_was_given_up_and_forgets_what_is_no_more(tmp_path: Path) -> None:
    async def story(rig: Agents) -> None:
        for run in ("given-up", "gone", "kept"):
            rig.home.know(run, KnownRun(project="default", run=run))
            await rig.far.start(launch(rig, "stays", run=run))
            await started(rig, AttemptId(run, 1, rig.node))
        await rig.launcher.nodes()
        assert (await ended(rig, AttemptId("given-up", 1, rig.node))).exit is not None

        async def is_forgotten() -> bool:
            return not rig.home.attempts("gone")

        await rig.until(is_forgotten)
        assert (await observe(rig.launcher, AttemptId("gone", 1, rig.node))).alive is None
        assert (await observe(rig.launcher, AttemptId("kept", 1, rig.node))).alive is True

    rig = Agents(tmp_path)
    try:
        play(story(rig))
    finally:
        rig.close()


def test_an_agent_that_was_cut_off_is_told_what_was_stopped_meanwhile_when_it_is_heard_again(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        clock = VirtualClock()
        handover = Handover(secrets=None, hall_secrets={}, keys=None)
        hall = AgentLauncher(
            tmp_path, handover=handover, sift=nobody_is_unwanted, monotonic=clock.monotonic
        )  # fmt: skip
        id = AttemptId("r", 1, "far")
        report = NodeReport(name="far", cpus=1.0, memory_bytes=2**30, processor="")
        seen = (Seen(id=id, observation=Observation(alive=True)),)
        beat = Beat(session="a", node=report, now=time.time(), hold_s=0.0, kept=(), seen=seen)
        await hall.hear("far", beat)
        clock.advance(60.0)
        assert await hall.nodes() == []
        await hall.stop(id, grace_s=10.0)
        told = await hall.hear("far", beat)
        assert [errand.what for errand in told.errands] == [Stop(id=id, grace_s=10.0)]

    play(story())


def test_two_agents_cannot_speak_for_one_node(tmp_path: Path) -> None:
    async def story() -> None:
        handover = Handover(secrets=None, hall_secrets={}, keys=None)
        hall = AgentLauncher(tmp_path, handover=handover, sift=nobody_is_unwanted)
        report = NodeReport(name="far", cpus=1.0, memory_bytes=2**30, processor="")
        first, second = (
            Beat(session=word, node=report, now=time.time(), hold_s=0.0, kept=()) for word in ("a", "b")
        )
        await hall.hear("far", first)
        with pytest.raises(Conflict, match="another agent speaks for node far"):
            await hall.hear("far", second)
        await hall.hear("far", first)

    play(story())


def test_what_a_node_says_is_told_by_the_halls_clock_and_of_its_own_address(tmp_path: Path) -> None:
    async def story() -> None:
        handover = Handover(secrets=None, hall_secrets={}, keys=None)
        hall = AgentLauncher(tmp_path, handover=handover, sift=nobody_is_unwanted, now=lambda: 1000.0)
        id, elsewhere = AttemptId("r", 1, "far"), AttemptId("s", 1, "far")
        seen = (
            Seen(id=id, observation=Observation(alive=False, exit=Exit(code=0, ended_at=1290.0))),
            Seen(id=elsewhere, observation=Observation(alive=True, address="10.0.0.1:22")),
        )
        report = NodeReport(name="far", cpus=1.0, memory_bytes=2**30, processor="")
        await hall.hear("far", Beat(session="a", node=report, now=1300.0, hold_s=0.0, kept=(), seen=seen))
        found = await hall.observe([id, elsewhere])
        assert found[id].exit == Exit(code=0, ended_at=990.0)
        assert found[elsewhere].address is None

    play(story())


@pytest.fixture
def on_ray(ray: RealRay, tmp_path: Path) -> Iterator[NodesOfRay]:
    made = NodesOfRay(tmp_path, ray)
    yield made
    made.close()


@TORTURE
def test_what_an_attempt_takes_is_held_in_ray_until_it_is_over(on_ray: NodesOfRay) -> None:
    async def story() -> None:
        shows = on_ray.program("echo $CUDA_VISIBLE_DEVICES; exec sleep 1000")
        asked = launch(on_ray, "", argv=shows, memory_bytes=2**30, gpus=((2, 1000), (3, 1000)))
        await on_ray.launcher.start(asked)
        assert await on_ray.held() == {"r/1": {"CPU": 1.0, "memory": 2.0**30, "GPU": 2.0}}
        node = next(node for node in await on_ray.launcher.nodes() if node.name == on_ray.node)
        assert (node.cpus, node.gpus, node.memory_bytes) == (2.0, 4, 4 * 2**30), "it is the hall's own"

        async def has_said() -> bool:
            return b"\n" in await log(on_ray.launcher, asked.id)

        await on_ray.until(has_said)
        given = (await log(on_ray.launcher, asked.id)).decode().strip().split(",")
        assert len(given) == 2
        assert set(given) < {"0", "1", "2", "3"}
        await on_ray.launcher.stop(asked.id, grace_s=0.0)
        await ended(on_ray, asked.id)

        async def is_free() -> bool:
            await on_ray.launcher.nodes()
            return not await on_ray.held()

        await on_ray.until(is_free)

    play(story())


@TORTURE
def test_what_others_hold_is_not_offered_and_what_has_no_room_left_is_over_before_it_began(
    on_ray: NodesOfRay,
) -> None:
    async def story() -> None:
        others = on_ray.line("others")
        sight = await others.ask(Look(), PATIENCE_S)
        assert isinstance(sight, Sight)
        (w1,) = (node.id for node in sight.nodes if node.name == "w1")
        taken = Reserve(name="theirs", node_id=w1, amounts={"CPU": 1.5})
        assert await others.ask(taken, PATIENCE_S) == Reserved(has_room=True)
        try:

            async def is_seen() -> bool:
                return 0.5 in [node.cpus for node in await on_ray.launcher.nodes()]

            await on_ray.until(is_seen)
            await on_ray.hall.start(asked := launch(on_ray, "stays"))
            seen = await ended(on_ray, asked.id)
            assert seen.exit is not None
            assert (seen.alive, seen.exit.stopped) == (False, True)
            assert on_ray.starts() == 0
        finally:
            await others.ask(Release(name="theirs"), PATIENCE_S)

    play(story())


def test_while_ray_cannot_be_reached_what_is_heard_goes_on_and_nothing_new_is_started(tmp_path: Path) -> None:
    async def story() -> None:
        nowhere = Line("127.0.0.1:9", "h", folder=tmp_path, environment={"PATH": os.environ["PATH"]})
        handover = Handover(secrets=None, hall_secrets={}, keys=None)
        agents = AgentLauncher(tmp_path, handover=handover, sift=nobody_is_unwanted)
        hall = RayLauncher(tmp_path, agents=agents, line=nowhere, postings=NoPostings())
        id = AttemptId("r", 1, "ray-w1")
        report = NodeReport(name="ray-w1", cpus=1.0, memory_bytes=2**30, processor="")
        seen = (Seen(id=id, observation=Observation(alive=True)),)
        await hall.hear("ray-w1", Beat(session="a", node=report, now=0.0, hold_s=0.0, kept=(), seen=seen))
        (node,) = await hall.nodes()
        assert (node.ready, node.launcher, bool(node.unfit)) == (True, "ray", True)
        assert (await observe(hall, id)).alive is True
        with pytest.raises(NotNow, match="no node ray-w1 now"):
            await hall.start(
                Launch(
                    id=AttemptId("s", 1, "ray-w1"), run="s", node="ray-w1", argv=("x",), order=None, cpus=1.0,
                    threads=1, memory_bytes=None,
                )
            )  # fmt: skip
        nowhere.hang_up()

    play(story())


async def nobody_is_unwanted(node: str, kept: Sequence[KeptRun]) -> Unwanted:
    return Unwanted((), ())


def test_the_log_is_read_from_any_offset_also_while_it_grows(processes: Processes) -> None:
    async def story() -> None:
        does = "echo one; echo two >&2; while [ ! -e go ]; do sleep 0.01; done; printf 'é three'"
        await processes.launcher.start(asked := launch(processes, does))

        async def has_two() -> bool:
            return b"two" in await log(processes.launcher, asked.id, 0)

        await processes.until(has_two)
        assert await log(processes.launcher, asked.id, 4) == b"two\n"
        (processes.work(asked.id) / "go").touch()
        await ended(processes, asked.id)
        assert await log(processes.launcher, asked.id, 8) == "é three".encode()
        assert await log(processes.launcher, asked.id, 0, 3) == b"one"
        assert await log(processes.launcher, asked.id, 10_000) == b""

    play(story())


def test_a_program_has_its_grace_and_then_its_whole_group_is_killed(processes: Processes) -> None:
    """A program that ends itself in time ends as it likes; one that does not listen goes with its children."""

    async def story() -> None:
        gentle = launch(
            processes, "trap 'echo bye; exit 7' TERM; touch here; while :; do sleep 0.01; done", "gentle"
        )
        deaf = launch(
            processes,
            "trap '' TERM; (trap '' TERM; sleep 1000) & echo $! > grandchild; touch here; while :; do sleep 1; done",
            "deaf",
        )
        for asked, grace_s in ((gentle, 1000.0), (deaf, 0.1)):
            await processes.launcher.start(asked)
            await processes.until(lambda asked=asked: _exists(processes.work(asked.id) / "here"))  # type: ignore[misc]
            await processes.launcher.stop(asked.id, grace_s)
        seen = await ended(processes, gentle.id)
        assert seen.exit is not None
        assert seen.exit.code == 7
        assert b"bye\n" in await log(processes.launcher, gentle.id, 0)
        seen = await ended(processes, deaf.id)
        assert seen.exit is not None
        assert seen.exit.signal == signal.SIGKILL
        grandchild = int((processes.work(deaf.id) / "grandchild").read_text())
        await processes.until(lambda: _is_gone(grandchild))

    play(story())


def test_what_a_program_leaves_behind_ends_with_it(processes: Processes) -> None:
    async def story() -> None:
        await processes.launcher.start(asked := launch(processes, "sleep 1000 & echo $! > left; exit 0"))
        seen = await ended(processes, asked.id)
        assert seen.exit is not None
        assert seen.exit.code == 0
        left = int((processes.work(asked.id) / "left").read_text())
        await processes.until(lambda: _is_gone(left))

    play(story())


def test_when_the_supervisor_is_killed_the_attempt_is_over_and_nothing_of_it_lives(
    processes: Processes,
) -> None:
    async def story() -> None:
        does = "sleep 1000 & echo $! > grandchild; touch here; wait"
        await processes.launcher.start(asked := launch(processes, does))
        await started(processes, asked.id)
        await processes.until(lambda: _exists(processes.work(asked.id) / "here"))
        await processes.until(lambda: _exists(processes.work(asked.id) / supervisor.CHILD))
        os.kill(processes.read(asked.id, supervisor.CLAIM)["pid"], signal.SIGKILL)
        seen = await ended(processes, asked.id)
        assert seen.exit is not None
        assert (seen.exit.code, seen.exit.signal) == (None, None)
        grandchild = int((processes.work(asked.id) / "grandchild").read_text())
        for pid in (processes.read(asked.id, supervisor.CHILD)["pid"], grandchild):
            await processes.until(lambda pid=pid: _is_gone(pid))  # type: ignore[misc]

    play(story())


def test_a_hall_that_starts_again_takes_up_what_is_running(processes: Processes) -> None:
    async def story() -> None:
        await processes.launcher.start(asked := launch(processes, "echo hello; exec sleep 1000"))
        await started(processes, asked.id)
        processes.launcher = processes.again()
        assert (await observe(processes.launcher, asked.id)).alive is True

        async def has_hello() -> bool:
            return await log(processes.launcher, asked.id, 0) == b"hello\n"

        await processes.until(has_hello)
        await processes.launcher.stop(asked.id, grace_s=1000)
        assert (await ended(processes, asked.id)).exit is not None

    play(story())


def test_an_attempt_whose_launcher_died_before_starting_it_is_given_up_and_never_comes_late(
    processes: Processes,
) -> None:
    async def story() -> None:
        id = AttemptId("r", 1, processes.node)
        folder = processes.work(id)
        folder.mkdir(parents=True)
        files.write_json(
            folder / "launch.json", {"argv": ["touch", "../late"], "env": {}, "memory_bytes": None}
        )
        await ended(processes, id)
        subprocess.run([sys.executable, "-m", supervisor.__name__, str(folder)], check=True)
        assert not (folder.parent / "late").exists()

    play(story())


@pytest.mark.parametrize("argv", [("no-such-program",), ("/",), ("sh\0", "-c"), ("sh", "-c", "a\0b")])
def test_a_program_that_cannot_start_is_over_at_once_and_its_user_is_told(
    processes: Processes, argv: tuple[str, ...]
) -> None:
    async def story() -> None:
        await processes.launcher.start(asked := launch(processes, "", argv=argv))
        seen = await ended(processes, asked.id)
        assert seen.exit is not None
        assert seen.exit.code == 127
        assert seen.result is not None
        problem = seen.result["problem"]
        assert (problem["who"], problem["field"]) == ("caller", "command")
        assert "cannot start" in problem["message"]
        assert b"cannot start" in await log(processes.launcher, asked.id, 0)

    play(story())


def test_a_program_sees_nothing_of_the_halls_own_environment(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALL_SECRET", "xyzzy")

    async def story() -> None:
        await processes.launcher.start(asked := launch(processes, "env; cat /proc/$PPID/environ", threads=3))
        await ended(processes, asked.id)
        output = await log(processes.launcher, asked.id, 0)
        assert b"xyzzy" not in output
        assert b"OMP_NUM_THREADS=3" in output
        assert b"MODELHALL_RUN=r" in output
        assert not any(
            b"xyzzy" in path.read_bytes() for path in processes.work(asked.id).iterdir() if path.is_file()
        )

    play(story())


HOLDS = """
import os, time
held = bytearray(os.urandom(2**20) * 50)
with open("written", "wb") as file:
    file.write(held)
    os.fsync(file.fileno())
print("ready", flush=True)
time.sleep(1000)
"""


def test_memory_held_and_bytes_written_by_a_program_are_told(processes: Processes) -> None:
    async def story() -> None:
        await processes.launcher.start(asked := launch(processes, "", argv=("python", "-c", HOLDS)))

        async def is_ready() -> bool:
            await observe(processes.launcher, asked.id)
            return b"ready" in await log(processes.launcher, asked.id)

        await processes.until(is_ready)

        async def is_told() -> bool:
            taken = (await processes.launcher.taken([asked.id]))[asked.id]
            assert taken.memory_bytes is not None
            assert taken.memory_bytes < 500 * 2**20
            assert (taken.written_bytes is None) == (taken.read_bytes is None)
            written = taken.written_bytes is None or taken.written_bytes >= 50 * 2**20
            return written and taken.memory_bytes > 50 * 2**20

        await processes.until(is_told)

    play(story())


BUSY = """
import resource, subprocess, sys
from pathlib import Path
burn = "for i in range(%d): i * i"
exec(burn % 4_000_000)
subprocess.run([sys.executable, "-c", burn % 2_000_000])
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
Path("used").write_text(str(sum(u.ru_utime + u.ru_stime for u in used)))
"""


def test_the_processor_time_on_record_is_what_the_program_and_its_children_used(processes: Processes) -> None:
    async def story() -> None:
        await processes.launcher.start(asked := launch(processes, "", argv=("python", "-c", BUSY)))
        seen = await ended(processes, asked.id)
        assert seen.exit is not None
        used = float((processes.work(asked.id) / "used").read_text())
        assert used <= seen.exit.cpu_s <= used * 1.3 + 0.2
        assert seen.cpu_s == seen.exit.cpu_s
        assert seen.exit.peak_bytes > 2**20

    play(story())


REPORT = {
    "progress": {"done": 1, "total": 2, "unit": "steps"},
    "metrics": {"loss": 0.5},
    "address": "127.0.0.1:1",
}


def test_a_stage_finds_its_order_and_its_reports_and_result_are_read(processes: Processes) -> None:
    async def story() -> None:
        does = "cp order.json seen; cp ../state/report report.json; touch here; "
        does += "while [ ! -e go ]; do sleep 0.01; done"
        does += """; echo '{"output": {"rows": 3}}' > result.json"""
        (processes.folder / "runs" / "r" / "state").mkdir(parents=True)
        files.write_json(processes.folder / "runs" / "r" / "state" / "report", REPORT)
        await processes.launcher.start(
            asked := launch(processes, does, order={"epochs": 3}, threads=2, workers=4)
        )
        await processes.until(lambda: _exists(processes.work(asked.id) / "here"))
        order = processes.read(asked.id, "seen")
        assert (order["what"], order["attempt"], order["threads"]) == ({"epochs": 3}, 1, 2)
        assert (order["workers"], order["address"]) == (4, "127.0.0.1")
        assert Path(order["work"]) == processes.work(asked.id)
        assert Path(order["state"]).is_dir()

        async def has_reported() -> bool:
            return (await observe(processes.launcher, asked.id)).progress is not None

        await processes.until(has_reported)
        seen = await observe(processes.launcher, asked.id)
        assert seen.progress is not None
        assert (seen.progress.done, dict(seen.metrics), seen.address) == (1, {"loss": 0.5}, "127.0.0.1:1")
        assert seen.result is None
        (processes.work(asked.id) / "go").touch()
        assert (await ended(processes, asked.id)).result == {"output": {"rows": 3}}

    play(story())


@pytest.mark.parametrize(
    "written",
    [
        "", "{", "5", "[]", "null", '"x"', '{"progress": 5}', '{"progress": {}}', '{"metrics": [1]}',
        '{"metrics": {"loss": NaN}}', '{"metrics": {"loss": 1e999}}', '{"address": 5}', '{"output": 5}',
        '{"output": {"x": NaN}}', '{"output": {"x": "\\ud800"}}', '{"problem": "x"}', '{"problem": {}}',
        '{"pid": "x"}', '{"pid": null}', '{"code": "x"}', "[" * 100_000,
    ],
    ids=lambda written: written[:30],
)  # fmt: skip
def test_whatever_a_program_writes_into_its_folder_the_launcher_goes_on(
    processes: Processes, written: str
) -> None:
    """Every file there is the program's to write. What makes no sense counts as not there."""

    async def story() -> None:
        id = AttemptId("r", 1, processes.node)
        processes.work(id).mkdir(parents=True)
        for name in ("report.json", "result.json", supervisor.CHILD, supervisor.EXIT):
            (processes.work(id) / name).write_text(written)
        await ended(processes, id)
        (processes.work(id) / supervisor.CLAIM).write_text(written)
        seen = await observe(processes.again(), id)
        assert seen.alive is False
        assert not seen.metrics
        assert seen.result in (None, {})
        await processes.launcher.stop(id, 0)

    def close_nothing() -> None: ...

    processes.close = close_nothing  # type: ignore[method-assign]
    play(story())


async def _exists(path: Path) -> bool:
    return path.exists()


async def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
