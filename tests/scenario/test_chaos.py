"""Whatever happens in whatever order: nothing runs twice, nothing is lost, and what is declared becomes true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_hall import HALL_FILE, World, declare, stage_of

from modelhall.adapters.launcher.virtual import VirtualLauncher
from modelhall.adapters.store.memory import MemoryStore
from modelhall.control.declare import Refusal
from modelhall.core.errors import Conflict, NotFound
from modelhall.core.hallfile import parse
from modelhall.core.kinds import AnyResource, Resources, Run
from modelhall.core.ports.launcher import AttemptId, Launch, NodeReport
from modelhall.core.ports.store import Write
from modelhall.twin.plant import Plant

NODES = {"n1": 2.0, "n2": 1.0}
FILES = [
    HALL_FILE,
    HALL_FILE.replace("require:", "train: {epochs: 9}\nrequire:"),
    HALL_FILE.replace("replicas: 2", "replicas: 3\nresources: {cpus: 0.5}"),
    HALL_FILE + "---\n" + HALL_FILE.split("---")[1].replace("name: digits", "name: second"),
]


def hall() -> Plant:
    nodes = [NodeReport(name=n, cpus=c, memory_bytes=2**33, processor="virtual") for n, c in NODES.items()]
    return Plant(nodes=nodes, script=World().script, sources={"digits.csv": "v1"})


def attempts(plant: Plant) -> list[int]:
    """How many attempts of each stage have been started."""
    stages = Counter(map(stage_of, plant.launcher.starts))
    return [stages[stage] for stage in ("prepare", "train", "evaluate", "serving")]


class Killed(BaseException):
    """The control plane is no more. No `except Exception` gets to see a kill -9."""


class DyingLauncher:
    """A launcher whose caller is killed at its n-th start, before or after that is carried out."""

    def __init__(self, launcher: VirtualLauncher, at: int, *, after: bool) -> None:
        self._launcher = launcher
        self._left = at
        self._after = after

    async def start(self, launch: Launch) -> None:
        self._left -= 1
        if self._left != 0 or self._after:
            await self._launcher.start(launch)
        if self._left == 0:
            raise Killed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._launcher, name)


class DyingStore(MemoryStore):
    """A store whose caller is killed at its n-th commit, before it is done or before hearing of it."""

    def __init__(self, at: int, *, after: bool) -> None:
        super().__init__()
        self._left = at
        self._after = after

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        self._left -= 1
        stored = [] if self._left == 0 and not self._after else await super().commit(writes)
        if self._left == 0:
            raise Killed
        return stored


def survive(plant: Plant, seconds: float) -> int:
    """Let time pass; start the control plane again whenever it was killed. Returns how often it was."""
    kills, end = 0, plant.clock.now() + seconds
    while (left_s := end - plant.clock.now()) > 0:
        try:
            plant.advance(left_s)
        except Killed:
            kills += 1
            plant.restart()
    return kills


@pytest.mark.parametrize("after", [False, True], ids=["before the launch", "after the launch"])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_kill_between_commit_and_launch_neither_loses_nor_doubles_work(at: int, after: bool) -> None:
    plant = hall()
    real = plant.launcher
    plant.launcher = DyingLauncher(real, at, after=after)  # type: ignore[assignment]
    plant.restart()
    declare(plant)
    assert survive(plant, 90) == 1
    assert attempts(plant) == [1, 1, 1, 2]
    assert plant.get("service", "digits").status.state == "ready"


@settings(max_examples=25)
@given(st.integers(3, 50), st.booleans())
def test_a_kill_at_any_commit_neither_loses_nor_doubles_work(at: int, after: bool) -> None:
    plant = hall()
    plant.store = DyingStore(at, after=after)
    plant.restart()
    declare(plant)
    survive(plant, 90)
    assert attempts(plant) == [1, 1, 1, 2]
    assert plant.get("service", "digits").status.state == "ready"


class BusyStore(MemoryStore):
    """A store that others write to just before each commit of the loop."""

    plant: Plant
    turn = 0

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        if self.turn < 30:
            self.turn += 1
            turn, self.turn = self.turn, 1000
            self.plant.apply(Run(name=f"job-{turn}", command=("work",), resources=Resources(cpus=0)))
            self.turn = turn
        return await super().commit(writes)


def test_what_others_write_while_the_loop_decides_is_seen() -> None:
    plant = hall()
    plant.store = BusyStore()
    plant.store.plant = plant
    plant.restart()
    plant.advance(120)
    jobs = {run.key.name: run.status.state for run in plant.all("run")}
    assert jobs == {f"job-{number}": "succeeded" for number in range(1, 31)}


def test_a_model_that_waits_for_anothers_run_goes_on_when_that_is_removed_before_it_starts() -> None:
    plant = hall()
    plant.apply(*(one.document for one in parse(HALL_FILE, "f")[:1]))
    plant.advance(15)
    plant.apply(
        *(Run(name=f"job-{n}", command=("x",), resources=Resources(cpus=c)) for n, c in NODES.items())
    )
    plant.advance(0.5)
    models = [HALL_FILE.split("---")[1].replace("name: digits", f"name: {name}") for name in ("one", "two")]
    declare(plant, "---".join(models))
    plant.advance(0.5)
    (waiting,) = (run for run in plant.all("run") if run.document.stage and run.status.state == "queued")
    plant.delete("model", waiting.document.owner.rpartition("/")[2])
    plant.advance(1)
    (left,) = plant.all("model")
    assert [run.document.owner for run in plant.all("run") if run.status.state == "queued"] == [left.key.path]


def test_going_back_to_what_was_given_up_half_way_takes_it_up_again() -> None:
    plant = hall()
    declare(plant)
    plant.advance(15)
    declare(plant, FILES[1])
    plant.advance(2)
    declare(plant, FILES[0])
    plant.advance(60)
    model = plant.get("model", "digits")
    assert (model.status.state, plant.get("service", "digits").status.version) == (
        "ready",
        model.status.version,
    )


def test_another_batching_changes_replicas_without_a_moment_without_any() -> None:
    plant = hall()
    declare(plant)
    plant.advance(60)
    before = {replica.run for replica in plant.get("service", "digits").status.ready}
    declare(plant, HALL_FILE + "batching: {max_size: 4}\n")
    for _ in range(100):
        plant.advance(0.1)
        assert len(plant.get("service", "digits").status.ready) >= 2
    after = {replica.run for replica in plant.get("service", "digits").status.ready}
    assert len(after) == 2
    assert not before & after


def test_a_node_that_is_back_before_it_was_missed_leaves_nothing_waiting_for_it() -> None:
    plant = hall()
    plant.apply(Run(name="job", command=("work",), resources=Resources(cpus=2)))
    real = plant.launcher
    plant.launcher = DyingLauncher(real, 1, after=False)  # type: ignore[assignment]
    plant.restart()
    with pytest.raises(Killed):
        plant.advance(1)
    plant.launcher.lose_node("n1")
    plant.restart()
    plant.advance(5)
    plant.launcher.return_node("n1")
    plant.advance(60)
    assert plant.get("run", "job").status.state == "succeeded"


STEPS = st.one_of(
    st.tuples(st.just("apply"), st.integers(0, len(FILES) - 1)),
    st.tuples(st.just("delete"), st.sampled_from(["service", "model", "dataset"])),
    st.tuples(st.sampled_from(["lose", "return"]), st.sampled_from(sorted(NODES))),
    st.tuples(st.sampled_from(["kill", "cancel"]), st.integers(0, 9)),
    st.tuples(st.just("source"), st.integers(1, 2)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("advance"), st.sampled_from([0.05, 1.0, 7.0, 15.0, 40.0])),
)


class Story:
    """A hall to which things happen, and what must hold after each of them."""

    def __init__(self) -> None:
        self.plant = hall()
        self._excused: set[AttemptId] = set()
        """Attempts whose machine came back empty: nobody can know that they had been started there."""

    def happen(self, what: str, value: Any) -> None:
        plant, results = self.plant, {result.key.name for result in self.plant.all("result")}
        seen = len(plant.launcher.starts)
        try:
            match what:
                case "apply":
                    declare(plant, FILES[value])
                case "delete":
                    plant.delete(value, "digits")
                case "lose":
                    plant.launcher.lose_node(value)
                case "return":
                    self._excused |= {launch.id for launch in plant.launcher.starts if launch.node == value}
                    plant.launcher.return_node(value)
                case "source":
                    plant.sources["digits.csv"] = f"v{value}"
                case "restart":
                    plant.restart()
                case "kill" if running := plant.launcher.running():
                    plant.launcher.kill(running[value % len(running)])
                case "cancel" if running := [run.key.name for run in plant.all("run")]:
                    plant.cancel(running[value % len(running)])
                case "advance":
                    plant.advance(value)
        except (Refusal, Conflict, NotFound):
            pass
        plant.advance(0.25)
        self._check(results, plant.launcher.starts[seen:])

    def _check(self, results: set[str], fresh: list[Launch]) -> None:
        launcher = self.plant.launcher
        ids = Counter(launch.id for launch in launcher.starts if launch.id not in self._excused)
        assert all(count == 1 for count in ids.values()), "an attempt was started twice"
        running = launcher.running()
        assert len(set(running)) == len(running), "two attempts of one run are alive"
        used: Counter[str] = Counter()
        for launch in {launch.run: launch for launch in launcher.starts if launch.run in running}.values():
            used[launch.node] += launch.cpus  # type: ignore[assignment]
        assert all(cpus <= NODES[node] + 1e-9 for node, cpus in used.items()), "a node is over-committed"
        known = {name[2:10] for name in results}
        again = [launch.run for launch in fresh if stage_of(launch) != "serving" and launch.run[-8:] in known]
        assert not again, "what had been computed is computed again"

    def calm_down(self) -> None:
        """Faults are over: what people gave up or what failed too often is asked for again."""
        plant = self.plant
        for node in NODES:
            if node not in {report.name for report in _finish(plant.launcher.nodes())}:
                self.happen("return", node)
        self.happen("advance", 120.0)
        self.happen("apply", 3)
        self.happen("advance", 1.0)
        for run in plant.all("run"):
            if run.status.state in ("failed", "cancelled") or run.document.cancelled:
                plant.delete("run", run.key.name)
        self.happen("advance", 300.0)


def _finish(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the twin waited")


@settings(max_examples=25)
@given(st.lists(STEPS, max_size=25))
def test_whatever_happens_nothing_runs_twice_and_in_the_end_what_is_declared_is_true(
    steps: list[tuple[str, Any]],
) -> None:
    story = Story()
    for what, value in [("apply", 0), *steps]:
        story.happen(what, value)
    story.calm_down()
    plant = story.plant
    found = [resource for kind in ("dataset", "model", "service") for resource in plant.all(kind)]
    states = {str(r.key): (r.status.state, r.status.reason) for r in found}
    assert states.keys() == {"dataset digits", "model digits", "model second", "service digits"}
    assert {state for state, _ in states.values()} == {"ready"}, states
    assert len(plant.get("service", "digits").status.ready) == 2
    live = [
        run for run in plant.all("run") if run.status.state in ("starting", "running", "queued", "waiting")
    ]
    assert len(live) == 2, "only the replicas are left"
    assert len(plant.launcher.running()) == 2
