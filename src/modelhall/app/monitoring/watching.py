"""Looks at nodes, runs and services every few seconds, and keeps what it saw."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from modelhall.app.monitoring.machines import Machines
from modelhall.control.runs import attempt_id
from modelhall.core.errors import HallError
from modelhall.core.kinds import Key
from modelhall.core.kinds.node import NodeResource
from modelhall.core.kinds.run import ACTIVE, RunResource
from modelhall.core.kinds.service import ServiceResource, asked_for
from modelhall.core.measures import measure, of
from modelhall.core.ports.book import Usage
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.history import Frame, History
from modelhall.core.ports.launcher import Launcher, Taken
from modelhall.core.ports.sensor import Figure
from modelhall.core.ports.store import Store
from modelhall.monitoring.answered import Answered
from modelhall.monitoring.course import Course
from modelhall.monitoring.growth import Growth
from modelhall.monitoring.sifting import credible

HALL = "hall"
Seen = dict[str, list[Figure]]
"""By subject."""

log = logging.getLogger(__name__)


class Watching:
    """What one control plane sees. `seen` is what it saw last."""

    def __init__(
        self,
        *,
        machines: Machines,
        store: Store,
        launcher: Launcher,
        history: History,
        clock: Clock,
        unknown_tokens: Callable[[], int],
        spent: Callable[[], Awaitable[Mapping[Key, float]]],
        each: Callable[[Seen], Awaitable[None]],
    ) -> None:
        """`spent` tells what share of their budgets projects have used; `each` is handed all that was seen at every
        look."""
        self.seen: Seen = {}
        self.machines = machines
        self._store = store
        self._launcher = launcher
        self._history = history
        self._clock = clock
        self._unknown_tokens = unknown_tokens
        self._spent = spent
        self._each = each
        self._growth = Growth()
        self._courses: dict[str, Course] = {}
        self._answered: dict[str, Answered] = {}

    async def run(self, leads: Callable[[], bool], every_s: float) -> None:
        """While this control plane leads, look every `every_s` seconds; for ever."""
        while True:
            try:
                if leads():
                    await self.look()
            except (HallError, OSError) as error:
                log.error("watching.failed reason=%s", error)
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Look once, hand on what was seen, and keep it."""
        at = self._clock.monotonic()
        seen = await self._look_at_runs(at)
        seen |= await self._look_at_services()
        seen |= await self._look_at_budgets()
        seen[HALL] = [
            Figure(name="unknown_tokens", value=float(self._unknown_tokens()), source="doors of the hall")
        ]
        for subject, figures in seen.items():
            figures += self._growth.of(subject, figures, at)
        self._growth.forget(self.seen.keys() - seen.keys())
        seen |= await self._look_at_nodes()
        self.seen = seen
        # Before it is kept: of a disk that is full nobody could be told otherwise.
        await self._each(seen)
        await self._keep(seen)

    def hear(self, usages: Sequence[Usage]) -> None:
        """Take in requests that are over."""
        by_service: dict[str, list[Usage]] = {}
        for usage in usages:
            by_service.setdefault(Key("service", usage.project, usage.service).path, []).append(usage)
        for path, its in by_service.items():
            self._answered.setdefault(path, Answered()).hear(its)

    async def _look_at_nodes(self) -> Seen:
        """Of each node whether it is used, and of those whose sensors are heard of what these tell."""
        nodes: list[NodeResource] = await self._store.find("node")
        seen: Seen = {node.key.path: [_quarantined(node)] for node in nodes}
        for path, figures in (await self.machines.look(await self._launcher.nodes())).items():
            seen.setdefault(path, []).extend(figures)
        return seen

    async def _look_at_runs(self, at: float) -> Seen:
        alive = await self._store.find("run", resting=False)
        active: list[RunResource] = [run for run in alive if run.status.state in ACTIVE]
        taken = await self._launcher.taken([attempt_id(run) for run in active])
        self._courses = {
            run.key.path: self._courses.get(run.key.path, Course())
            for run in active
            if run.status.state == "running"
        }
        seen: Seen = {}
        for run in active:
            path = run.key.path
            figures = _taken(taken.get(attempt_id(run)))
            if path in self._courses:
                figures += self._courses[path].figures(run.status, at)
            seen[path], _ = credible("run", figures)
        return seen

    async def _look_at_services(self) -> Seen:
        services: list[ServiceResource] = await self._store.find("service")
        now = self._clock.now()
        there = {service.key.path for service in services}
        self._answered = {path: one for path, one in self._answered.items() if path in there}
        seen: Seen = {}
        for service in services:
            missing = max(0, asked_for(service) - len(service.status.ready))
            figures = [Figure(name="replicas_missing", value=float(missing), source="store")]
            figures += self._answered.setdefault(service.key.path, Answered()).figures(now)
            seen[service.key.path], _ = credible("service", figures)
        return seen

    async def _look_at_budgets(self) -> Seen:
        return {
            project.path: [Figure(name="budget_used_share", value=share, source="treasury")]
            for project, share in (await self._spent()).items()
        }

    async def _keep(self, seen: Seen) -> None:
        """What counters grow by tells all that they tell, so they are not kept themselves."""
        now = self._clock.now()
        frames = [
            Frame(subject=subject, at=now, values=values)
            for subject, figures in seen.items()
            if (values := {_name(one): one.value for one in figures if not _is_counter(subject, one.name)})
        ]
        await self._history.append(frames)


def _quarantined(node: NodeResource) -> Figure:
    unused = node.status.state == "quarantined" or bool(node.status.blamed)
    return Figure(name="quarantined", value=float(unused), source="store")


def _name(figure: Figure) -> str:
    return f"{figure.name}:{figure.part}" if figure.part else figure.name


def _is_counter(subject: str, name: str) -> bool:
    known = measure(of(subject), name)
    return known is not None and known.is_counter


def _taken(taken: Taken | None) -> list[Figure]:
    if taken is None:
        return []
    found = {
        "cpu_s": taken.cpu_s,
        "memory_used_bytes": taken.memory_bytes,
        "read_bytes": taken.read_bytes,
        "written_bytes": taken.written_bytes,
    }
    return [
        Figure(name=name, value=float(value), source="operating system")
        for name, value in found.items()
        if value is not None
    ]
