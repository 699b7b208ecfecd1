"""Virtual nodes on a virtual clock: attempts that take time without passing it.

What an attempt does is a `Script`, chosen by the one who makes the launcher; faults are methods. The twin and the
scenario tests run the real loop and the real policies over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelhall.core.errors import Stale
from modelhall.core.gang_key import GANG_KEY
from modelhall.core.kinds.run import Exit
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import AttemptId, Launch, LogPart, NodeReport, Observation, Taken

SIGKILL, SIGTERM = 9, 15


@dataclass(frozen=True, kw_only=True)
class Script:
    """How an attempt goes if nothing disturbs it."""

    takes_s: float
    result: Mapping[str, Any] = field(default_factory=lambda: {"output": {}})
    code: int = 0
    serves: bool = False
    """Whether it is ready after `takes_s` and then goes on until it is stopped."""


@dataclass(kw_only=True)
class _Attempt:
    launch: Launch
    script: Script
    started_at: float
    exit: Exit | None = None


class VirtualLauncher:
    """The launcher port over scripts. `starts` lists every launch, for tests that count them."""

    def __init__(self, clock: Clock, nodes: Sequence[NodeReport], script: Callable[[Launch], Script]) -> None:
        self.starts: list[Launch] = []
        self._clock = clock
        self._nodes = {node.name: node for node in nodes}
        self._script = script
        self._attempts: dict[AttemptId, _Attempt] = {}
        self._epoch = 0

    async def fence(self, epoch: int) -> None:
        self._check(epoch)
        self._epoch = epoch

    async def start(self, launch: Launch) -> None:
        self._check(launch.epoch)
        if launch.id not in self._attempts and self._nodes[launch.node].ready:
            self.starts.append(launch)
            self._attempts[launch.id] = _Attempt(
                launch=launch, script=self._script(launch), started_at=self._clock.now()
            )

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        return {id: self._observe(id) for id in ids}

    async def taken(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Taken]:
        seen = {id: self._observe(id) for id in ids}
        return {id: Taken(cpu_s=one.cpu_s) for id, one in seen.items() if one.alive}

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        attempt = self._attempts.get(id)
        if attempt is not None and attempt.exit is None:
            attempt.exit = Exit(
                signal=SIGTERM, stopped=True, cpu_s=self._cpu_s(attempt), ended_at=self._clock.now()
            )

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> LogPart:
        return LogPart(offset=offset, data=b"")

    async def forget(self, run_uid: str) -> None:
        for id in [id for id in self._attempts if id.run_uid == run_uid]:
            del self._attempts[id]

    async def nodes(self) -> list[NodeReport]:
        return [node for node in self._nodes.values() if node.ready]

    def lose_node(self, name: str) -> None:
        """The machine is gone, and what ran on it. Nobody is told: its attempts look as they did."""
        self._nodes[name] = replace(self._nodes[name], ready=False)

    def return_node(self, name: str) -> None:
        """The machine is back, empty."""
        self._nodes[name] = replace(self._nodes[name], ready=True)
        for id in [id for id, attempt in self._attempts.items() if attempt.launch.node == name]:
            del self._attempts[id]

    def kill(self, run: str) -> None:
        """Kill -9 the newest attempt of `run`."""
        attempt = [a for a in self._attempts.values() if a.launch.run == run][-1]
        attempt.exit = Exit(signal=SIGKILL, cpu_s=self._cpu_s(attempt), ended_at=self._clock.now())

    def running(self) -> list[str]:
        """Names of the runs with a live attempt, for tests that look for two of one."""
        there = [a for a in self._attempts.values() if self._nodes[a.launch.node].ready]
        return sorted(a.launch.run for a in there if self._observe(a.launch.id).alive)

    def _observe(self, id: AttemptId) -> Observation:
        attempt = self._attempts.get(id)
        if attempt is None:
            return Observation(alive=None)
        if not self._nodes[attempt.launch.node].ready:
            return Observation(alive=True)
        script, now = attempt.script, self._clock.now()
        over = now >= attempt.started_at + script.takes_s
        if attempt.exit is None:
            attempt.exit = self._end_by_now(attempt, now)
        if attempt.exit is not None:
            result = script.result if attempt.exit.code is not None else None
            return Observation(alive=False, exit=attempt.exit, cpu_s=attempt.exit.cpu_s, result=result)
        leads = GANG_KEY in attempt.launch.hall_secrets and "leader" not in (attempt.launch.order or {})
        address = f"{attempt.launch.node}:{attempt.launch.run}" if leads or (script.serves and over) else None
        return Observation(alive=True, address=address, cpu_s=self._cpu_s(attempt))

    def _end_by_now(self, attempt: _Attempt, now: float) -> Exit | None:
        """How an attempt that nobody disturbed has ended, if it has."""
        script, timeout_s = attempt.script, attempt.launch.timeout_s
        times_out = timeout_s is not None and (script.serves or timeout_s < script.takes_s)
        lasts_s = timeout_s if times_out else None if script.serves else script.takes_s
        if lasts_s is None or now < attempt.started_at + lasts_s:
            return None
        end = Exit(cpu_s=self._cpu_s(attempt), ended_at=attempt.started_at + lasts_s)
        how = {"signal": SIGTERM, "timed_out": True} if times_out else {"code": script.code}
        return end.model_copy(update=how)

    def _check(self, epoch: int) -> None:
        if epoch < self._epoch:
            raise Stale(
                f"this control plane leads epoch {epoch}, and another leads epoch {self._epoch} since"
            )

    def _cpu_s(self, attempt: _Attempt) -> float:
        return (self._clock.now() - attempt.started_at) * attempt.launch.cpus
