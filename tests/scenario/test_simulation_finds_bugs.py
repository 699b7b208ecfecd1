"""The simulation is able to fail: bugs that are planted here are found, each within a few seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from simulated import silence

from modelhall.control.actions import Action, Forget, Start, Stop
from modelhall.control.leadership import Leadership
from modelhall.control.loop import Loop
from modelhall.core.kinds import AnyResource
from modelhall.core.ports.launcher import Launch
from modelhall.core.ports.store import Lead, Write
from modelhall.twin.machines import Machines
from modelhall.twin.simulation import Simulation
from modelhall.twin.witness import Violation

MOST_SEEDS = 300
FIRST_SEED = {"a run forgotten after it is off the record": 250}
"""Where to begin to look for a bug that shows itself in one history of some hundreds."""


class Unfenced:
    """A store that is not told who leads."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        return await self._store.commit([write for write in writes if not isinstance(write, Lead)])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class LoopWithoutFencing(Loop):
    def __init__(self, *, store: Any, **parts: Any) -> None:
        super().__init__(store=Unfenced(store), **parts)


class LoopThatLaunchesFirst(Loop):
    async def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Start):
                await self._act(action)
        await super()._do(actions)


class LoopThatForgetsLast(Loop):
    """As it was: a run went off the record, and then what the launcher keeps of it."""

    async def _do(self, actions: Sequence[Action]) -> None:
        await super()._do([action for action in actions if not isinstance(action, Forget)])
        await super()._do([action for action in actions if isinstance(action, Forget)])


class LoopThatLeavesAttemptsBehind(Loop):
    """As it was: nobody told a lost machine to end what it runs."""

    async def _decide(self, resource: AnyResource) -> list[Action]:
        actions = await super()._decide(resource)
        stopping = resource.deleting or getattr(resource.document, "cancelled", False)
        return [action for action in actions if stopping or not isinstance(action, Stop)]


class MachinesThatStartTwice(Machines):
    async def start(self, launch: Launch) -> None:
        self._attempts.pop(launch.id, None)
        await super().start(launch)


class SettableClock:
    """A clock whose monotonic time is the wall's."""

    def __init__(self, clock: Any) -> None:
        self.now = self.monotonic = clock.now


class LeadershipByTheWallClock(Leadership):
    def __init__(self, store: Any, clock: Any, holder: str) -> None:
        super().__init__(store, SettableClock(clock), holder)


PLANTED: dict[str, tuple[dict[str, Any], str]] = {
    "a loop without fencing": ({"loop_type": LoopWithoutFencing}, "wrote in epoch|sees what is not so"),
    "a launch before its commit": ({"loop_type": LoopThatLaunchesFirst}, "the store says"),
    "a run forgotten after it is off the record": ({"loop_type": LoopThatForgetsLast}, "its run is gone"),
    "an attempt left behind": ({"loop_type": LoopThatLeavesAttemptsBehind}, "two attempts|is not wanted"),
    "a launcher that starts twice": ({"machines_type": MachinesThatStartTwice}, "was started twice"),
    "a leader by the wall clock": ({"leadership_type": LeadershipByTheWallClock}, "was taken"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    parts, says = PLANTED[bug]
    found = []
    with silence():
        first = FIRST_SEED.get(bug, 0)
        for seed in range(first, first + MOST_SEEDS):
            try:
                Simulation(seed, **parts).run()
            except Violation as violation:
                found.append(str(violation))
                break
    assert found, f"not found within {MOST_SEEDS} seeds"
    assert re.search(says, found[0]), found[0]
    assert f"python -m modelhall.twin.simulation {seed} --trace" in found[0]
