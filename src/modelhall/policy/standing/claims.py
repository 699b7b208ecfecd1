"""Who may have others make room, and who those are.

Three may: replicas, of all batch work; a project, of those that borrow what is its own; and a run, of others of its
project that are so much less urgent. Nobody is made to give room twice over: a project loses what it borrows and no
more, so what it lost it cannot claim back, and the less urgent cannot make the more urgent go. So it comes to an end.

Of all nodes the one is chosen where the least work is interrupted, and what has been asked to go is waited for:
whoever has a claim is first given what is about to become free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from modelhall.policy.room import Free, Gpus, Shape, has_room, shape_of, suits, with_given, with_taken
from modelhall.policy.schedule import Asking, Held, Part, Preemption, RunKey
from modelhall.policy.standing import Standing
from modelhall.policy.standing.floor import Floor, Node
from modelhall.policy.standing.reservation import Kept
from modelhall.policy.standing.tenants import Tenant, dominant, has_a_claim, may_lose, over_quota

URGENT = 100
"""So much more of priority is worth interrupting others for."""

MayGo = Callable[[Held], bool]


class Interruption(NamedTuple):
    """Who would go from a node, and what it would cost: the share of the hall times the time they have run."""

    cost: float
    node: str
    version: int
    """Of the node, as it was when this was reckoned."""
    victims: tuple[Held, ...]


class Claims:
    """Those of one round. What is kept free for claimants, and who makes room, is entered where the round has it."""

    def __init__(self, standing: Standing, kept: dict[str, Kept], preemptions: list[Preemption]) -> None:
        self._standing = standing
        self._kept = kept
        self._preemptions = preemptions
        self._leaving = {key for key, held in standing.held.items() if held.leaving}
        self._started = set[RunKey]()
        self._soon: Floor | None = None
        """The nodes as they are once all who leave have left, and all claimants have come."""
        self._changes: dict[str, Tenant] = {}
        """What projects will hold more, or less, by then."""
        self._offers: dict[tuple[str, Shape, int, bool], list[Interruption]] = {}
        for key in self._leaving:
            self._expect(standing.held[key], -1)

    def take_in(self, key: RunKey, shape: Shape, parts: Iterable[Part]) -> None:
        """A run has started. It is not asked to go in the round that started it."""
        self._started.add(key)
        if self._soon is not None:
            for part in parts:
                self._soon.take(shape, part)

    def make_room(self, asking: Asking, shape: Shape) -> bool:
        """Keep for a run what others leave, having some of them leave if need be; False if it has no claim to it."""
        claim = self._claim_of(asking, shape)
        if claim is None:
            return False
        soon = self._after_leaving()
        found = soon.find(shape, self._is_not_kept_for_later)
        if found is None:
            offer = self._cheapest(asking, shape, claim)
            if offer is None:
                return False
            for victim in offer.victims:
                self._let_go(victim, asking.key)
            found = soon.find(shape, lambda node, gpus: node.room.name == offer.node)
            assert found is not None, "those who go leave room"
        name = found.node.room.name
        soon.take(shape, Part(name, shape.workers, found.gpus))
        self._kept[name] = Kept(by=asking.key, at=self._standing.now, free=found.node.free)
        self._change(asking.project).hold(shape, shape.workers)
        return True

    def _claim_of(self, asking: Asking, shape: Shape) -> MayGo | None:
        """Whom a run may have make room; None if nobody."""
        project, tenant = asking.project, self._expected(asking.project)
        if asking.serves:
            return None if over_quota(tenant, shape, shape.workers) else lambda held: True
        reclaims, is_urgent = has_a_claim(tenant, shape, shape.workers), asking.priority >= URGENT
        if not (reclaims or is_urgent) or over_quota(tenant, shape, shape.workers):
            return None

        def may_go(held: Held) -> bool:
            other = held.asking
            if other.project == project:
                return other.priority + URGENT <= asking.priority
            lent = self._expected(other.project)
            return reclaims and may_lose(lent, shape_of(other), held.workers)

        return may_go

    def _cheapest(self, asking: Asking, shape: Shape, may_go: MayGo) -> Interruption | None:
        """Those to interrupt; what each node would cost is kept from claim to claim of one sort."""
        sort = (asking.project, shape, asking.priority, asking.serves)
        offers = self._offers.get(sort)
        if offers is None:
            nodes = [n for n in self._after_leaving().nodes.values() if suits(n.room, shape)]
            offers = [found for node in nodes if (found := self._on_node(node, shape, may_go)) is not None]
            heapify(offers)
            self._offers[sort] = offers
        while offers:
            offer = heappop(offers)
            if self._stands(offer, may_go):
                return offer
            again = self._on_node(self._after_leaving().nodes[offer.node], shape, may_go)
            if again is not None:
                heappush(offers, again)
        return None

    def _stands(self, offer: Interruption, may_go: MayGo) -> bool:
        """Whether what was reckoned for a node is so still."""
        node = self._after_leaving().nodes[offer.node]
        if node.version != offer.version:
            return False
        asked = list[Held]()
        for held in offer.victims:
            if may_go(held):
                self._expect(held, -1)
                asked.append(held)
        for held in asked:
            self._expect(held, 1)
        return len(asked) == len(offer.victims)

    def _on_node(self, node: Node, shape: Shape, may_go: MayGo) -> Interruption | None:
        """Who would have to go from one node: the cheapest first, and none whom the others make needless."""
        name = node.room.name
        if not has_room(node.whole, shape) or not self._is_not_kept_for_later(node, ()):
            return None
        there = [held for held in self._standing.on.get(name, {}).values() if self._is_able(held)]
        free, going = node.free, list[Held]()
        for held in sorted(there, key=lambda held: (self._cost(held), held.asking.key)):
            if has_room(free, shape):
                break
            # Whether he may is told by what his project holds once those before him have gone.
            if may_go(held):
                self._expect(held, -1)
                going.append(held)
                free = _moved(free, held, name, 1)
        for held in going:
            self._expect(held, 1)
        if not has_room(free, shape):
            return None
        for held in reversed(going[:-1]):
            if has_room(without := _moved(free, held, name, -1), shape):
                free = without
                going.remove(held)
        return Interruption(sum(map(self._cost, going)), name, node.version, tuple(going))

    def _is_able(self, held: Held) -> bool:
        asking = held.asking
        stays = asking.serves or not asking.preemptible
        return not stays and asking.key not in self._leaving and asking.key not in self._started

    def _is_not_kept_for_later(self, node: Node, gpus: Gpus) -> bool:
        kept = self._kept.get(node.room.name)
        return kept is None or kept.at <= self._standing.now

    def _cost(self, held: Held) -> float:
        """The work that is interrupted; how much of it is lost, its last checkpoint decides."""
        shape, workers = shape_of(held.asking), held.workers
        share = dominant(
            shape.cpus_milli * workers,
            shape.memory_bytes * workers,
            shape.gpus_milli * workers,
            self._standing.whole,
        )
        return share * (self._standing.now - held.started_at)

    def _let_go(self, victim: Held, by: RunKey) -> None:
        key = victim.asking.key
        self._leaving.add(key)
        self._expect(victim, -1)
        for part in victim.parts:
            self._after_leaving().give(shape_of(victim.asking), part)
        self._preemptions.append(Preemption(key.project, key.name, by))

    def _after_leaving(self) -> Floor:
        if self._soon is None:
            self._soon = self._standing.floor.copy()
            for key in self._leaving:
                held = self._standing.held[key]
                for part in held.parts:
                    self._soon.give(shape_of(held.asking), part)
        return self._soon

    def _expected(self, project: str) -> Tenant:
        """What a project will hold once all who leave have left, and all claimants have come."""
        now, change = self._standing.tenant(project), self._change(project)
        return replace(
            now,
            cpus_milli=now.cpus_milli + change.cpus_milli,
            memory_bytes=now.memory_bytes + change.memory_bytes,
            gpus_milli=now.gpus_milli + change.gpus_milli,
        )

    def _expect(self, held: Held, more: int) -> None:
        self._change(held.asking.project).hold(shape_of(held.asking), more * held.workers)

    def _change(self, project: str) -> Tenant:
        share = self._standing.tenant(project).share
        return self._changes.setdefault(project, Tenant(name=project, share=share))


def _moved(free: Free, held: Held, node: str, back: int) -> Free:
    """What is free when a run has gone from a node (1), or has stayed after all (-1)."""
    (part,) = (part for part in held.parts if part.node == node)
    shape = shape_of(held.asking)
    change = with_given if back > 0 else with_taken
    return change(free, shape, part.gpus, part.workers)
