"""The hall as a scheduling policy sees it: nodes, those who wait, those who run and their projects, all indexed.

Whoever keeps one, such as a simulation, tells it what happens, and asks a policy from time to time; `deciding.py`
makes one of a picture of the facts each time. It decides nothing itself.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from random import Random

from modelhall.policy.placement import Score
from modelhall.policy.room import Shape, shape_of, suits
from modelhall.policy.schedule import Asking, Facts, Held, Part, RunKey, Share
from modelhall.policy.standing import gang
from modelhall.policy.standing.floor import Floor
from modelhall.policy.standing.line import Line, Order
from modelhall.policy.standing.tenants import Tenant, Whole, tenant_of

NO_QUOTA = Share(used_cpus=0.0, most_cpus=None)


class Standing:
    """All that a policy goes by. `order` and `by_project` say how the policy has them wait."""

    def __init__(
        self,
        facts: Facts,
        score: Score,
        *,
        order: Order,
        by_project: bool = False,
        chance: Random | None = None,
    ) -> None:
        self.now = facts.now
        self.floor = Floor(facts.nodes, score, chance)
        self.line = Line(order, by_project=by_project)
        self.held: dict[RunKey, Held] = {}
        self.on: dict[str, dict[RunKey, Held]] = defaultdict(dict)
        """The runs on each node."""
        self.whole = self._whole()
        self.tenants = {name: tenant_of(name, share, facts.now) for name, share in facts.projects.items()}
        self.can_ever = lru_cache(maxsize=None)(self._can_ever)
        for held in facts.held:
            self._enter(held)
        for asking in facts.queue:
            self.line.add(asking)

    def tenant(self, project: str) -> Tenant:
        if project not in self.tenants:
            self.tenants[project] = tenant_of(project, NO_QUOTA, self.now)
        return self.tenants[project]

    def pass_time(self, now: float) -> None:
        """It is later: who holds something has used so much more."""
        self.now = now
        for tenant in self.tenants.values():
            tenant.pass_time(now, self.whole)

    def start(self, asking: Asking, parts: tuple[Part, ...]) -> Held:
        """One who waited has been placed."""
        self.line.remove(asking.key)
        ends_at = None if asking.expected_s is None else self.now + asking.expected_s
        held = Held(asking=asking, parts=parts, started_at=self.now, ends_at=ends_at)
        shape = shape_of(asking)
        for part in parts:
            self.floor.take(shape, part)
        self.tenant(asking.project).hold(shape, held.workers)
        self._enter(held)
        return held

    def end(self, key: RunKey) -> Held:
        """A run is over, or has made room."""
        held = self.held.pop(key)
        shape = shape_of(held.asking)
        for part in held.parts:
            self.on[part.node].pop(key, None)
            self.floor.give(shape, part)
        self.tenant(key.project).hold(shape, -held.workers)
        return held

    def replace(self, held: Held) -> None:
        """What is known of a run that holds the same has changed."""
        self._enter(held)

    def _enter(self, held: Held) -> None:
        self.held[held.asking.key] = held
        for part in held.parts:
            self.on[part.node][held.asking.key] = held

    def _whole(self) -> Whole:
        nodes = list(self.floor.nodes.values())
        return Whole(
            sum(node.whole.cpus_milli for node in nodes),
            sum(node.whole.memory_bytes for node in nodes),
            sum(sum(node.whole.gpus) for node in nodes),
        )

    def _can_ever(self, shape: Shape) -> bool:
        """Whether an idle hall has room for a shape."""
        if not shape.spans:
            return self.floor.can_ever(shape)
        nodes = [node for node in self.floor.nodes.values() if suits(node.room, shape)]
        return gang.find(nodes, shape, lambda node: node.whole) is not None
