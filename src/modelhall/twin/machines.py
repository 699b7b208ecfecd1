"""Virtual nodes that can be cut off: what runs on them goes on, and is there when they are back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from modelhall.adapters.launcher.virtual import Script, VirtualLauncher
from modelhall.core.ports.launcher import AttemptId, Launch, NodeReport
from modelhall.twin.clock import OwnClock, VirtualClock


class Machines(VirtualLauncher):
    """The virtual launcher with partitions. What is asked of a node that is out of reach is done when it is back:
    that much a launcher over several nodes has to promise."""

    def __init__(
        self,
        clock: VirtualClock,
        nodes: Sequence[NodeReport],
        script: Callable[[Launch], Script],
        *,
        started: Callable[[Launch], None],
        fenced: Callable[[int], None],
    ) -> None:
        """`started` and `fenced` are told of what has really been done."""
        super().__init__(OwnClock(clock), nodes, script)
        self._started = started
        self._fenced = fenced
        self._owed: list[tuple[AttemptId | str, float]] = []
        """Stops (of an attempt) and forgettings (of a run) that a node has yet to hear of."""

    async def start(self, launch: Launch) -> None:
        before = len(self.starts)
        await super().start(launch)
        if len(self.starts) > before:
            self._started(launch)

    async def fence(self, epoch: int) -> None:
        await super().fence(epoch)
        self._fenced(epoch)

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        attempt = self._attempts.get(id)
        if attempt is not None and not self.is_reachable(attempt.launch.node):
            self._owed.append((id, grace_s))
        else:
            await super().stop(id, grace_s)

    async def forget(self, run_uid: str) -> None:
        for id in [id for id in self._attempts if id.run_uid == run_uid]:
            if self.is_reachable(self._attempts[id].launch.node):
                del self._attempts[id]
            else:
                self._owed.append((run_uid, 0.0))

    async def reconnect(self, name: str) -> None:
        """The machine is in reach again, with all that ran on it."""
        self._nodes[name] = replace(self._nodes[name], ready=True)
        owed, self._owed = self._owed, []
        for what, grace_s in owed:
            await (self.forget(what) if isinstance(what, str) else self.stop(what, grace_s))

    def is_reachable(self, node: str) -> bool:
        return self._nodes[node].ready

    def alive(self) -> list[Launch]:
        """What runs, in reach or not."""
        now = self._clock.now()
        return [
            attempt.launch
            for attempt in self._attempts.values()
            if attempt.exit is None and self._end_by_now(attempt, now) is None
        ]

    def kept(self) -> list[AttemptId]:
        """Every attempt the launcher still keeps something of."""
        return list(self._attempts)
