"""One round of decisions: who starts, who waits and why, what is kept free, who makes room.

What starts is entered into the standing at once, so that the next decision is taken on what is so then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from modelhall.policy.room import Gpus, Shape, is_there, with_taken
from modelhall.policy.schedule import Asking, Hold, Part, Placement, Preemption, RunKey
from modelhall.policy.standing import Standing, gang, tenants
from modelhall.policy.standing.claims import Claims
from modelhall.policy.standing.floor import Node
from modelhall.policy.standing.line import LaneKey, Rank, Turn, Turns
from modelhall.policy.standing.refusal import Refusal, sentence
from modelhall.policy.standing.reservation import Kept, keep, prospect

LOOK = 100
"""How many of a lane are looked through for one that is over before what is kept free is needed."""


@dataclass(kw_only=True)
class Outcome:
    """What a round came to."""

    placements: list[Placement] = field(default_factory=list)
    preemptions: list[Preemption] = field(default_factory=list)
    refused: dict[LaneKey, Refusal] = field(default_factory=dict)
    """Why the lanes that are left wait."""
    kept: dict[str, Kept] = field(default_factory=dict)
    """What is kept free, by node."""

    def holds(self, standing: Standing) -> Iterator[Hold]:
        """A reason for each who is left waiting, in their order."""
        said = {refusal: sentence(standing, refusal) for refusal in set(self.refused.values())}
        for asking, lane in standing.line.in_order():
            refusal = self.refused[lane.key]
            yield Hold(asking.project, asking.name, said[refusal], refusal.never)


def in_order(standing: Standing, rank: Rank) -> Outcome:
    """One after the other, and nobody is overtaken by who asks for something that he waits for too."""
    round_, turns = Round(standing), Turns(standing.line, rank)
    waiting: dict[str, RunKey] = {}
    while turn := turns.next():
        shape = turn.lane.key.shape
        before = next((waiting[kind] for kind in sorted(shape.kinds) if kind in waiting), None)
        refusal = round_.never(turn) or (
            Refusal("behind", shape, behind=before) if before else round_.start(turn)
        )
        if refusal is None:
            turns.again(turn.lane, turn.place)
            continue
        round_.refuse(turn, refusal)
        if refusal.cause == "room":
            waiting |= dict.fromkeys(shape.kinds - waiting.keys(), turn.asking.key)
    return round_.outcome


def with_backfill(
    standing: Standing, rank: Rank, *, claims: bool = False, overtaken: Turn | None = None, most_kept: int = 1
) -> Outcome:
    """One after the other; the first who waits for room has it kept free for him, and who is not in his way may
    overtake him (EASY: Lifka, JSSPP 1995). With `claims`, others make room for who may ask them to. `overtaken`
    is one who is not to be overtaken again. For `most_kept` of those who wait room is kept, of each lane for the
    first."""
    round_ = Round(standing, claims=claims)
    if overtaken is not None:
        round_.put_first(overtaken)
    turns, kept = Turns(standing.line, rank), int(overtaken is not None)
    while turn := turns.next():
        refusal = round_.start(turn)
        if refusal is None:
            turns.again(turn.lane, turn.place)
            continue
        round_.refuse(turn, refusal)
        if refusal.cause != "room":
            continue
        if round_.claim(turn):
            turns.again(turn.lane, turn.place + 1)
            continue
        if kept < most_kept:
            round_.reserve(turn)
            kept += 1
        round_.start_shorter(turn)
    return round_.outcome


class Round:
    """Decisions on one standing, one after the other."""

    def __init__(self, standing: Standing, *, claims: bool = False) -> None:
        self.outcome = Outcome()
        self._standing = standing
        self._claims = Claims(standing, self.outcome.kept, self.outcome.preemptions) if claims else None
        self._closed: dict[str, frozenset[str]] = {}
        """The kinds of which a project has used up its quota."""
        self._first_of: dict[str, RunKey] = {}
        """Who is the first of his group to start."""

    def never(self, turn: Turn) -> Refusal | None:
        """Why not even an idle hall would start a run, if so."""
        return never(self._standing, turn.lane.key)

    def start(self, turn: Turn) -> Refusal | None:
        """Start a run with as many workers as there is room for, or say why not."""
        before = self._first_of.get(turn.lane.key.group)
        if before is not None and before != turn.asking.key:
            return self.never(turn) or Refusal("behind", turn.lane.key.shape, behind=before)
        return self._start(turn.asking, turn.lane.key)

    def put_first(self, turn: Turn) -> None:
        """Start a run before all others, or keep room for it; until then nobody of its group starts."""
        refusal = self._start(turn.asking, turn.lane.key)
        if refusal is not None:
            self._first_of[turn.lane.key.group] = turn.asking.key
            if refusal.cause == "room":
                self.reserve(turn, firm=True)

    def refuse(self, turn: Turn, refusal: Refusal) -> None:
        """The run waits, and with it all of its lane."""
        self.outcome.refused[turn.lane.key] = refusal
        if refusal.cause == "quota":
            self._closed[refusal.project] = self._used_up(refusal.project, refusal.shape)

    def claim(self, turn: Turn) -> bool:
        """Whether others make room for the run; on one node, also where its workers might be on several."""
        shape = turn.lane.key.shape._replace(workers=turn.lane.key.fewest_workers, spans=False)
        return self._claims is not None and self._claims.make_room(turn.asking, shape)

    def reserve(self, turn: Turn, *, firm: bool = False) -> None:
        """Keep the soonest place free for a run that waits."""
        shape = turn.lane.key.shape._replace(workers=turn.lane.key.fewest_workers)
        found = prospect(self._standing, shape, self.outcome.kept)
        if found is not None:
            keep(self.outcome.kept, found, shape, turn.asking.key, firm=firm)

    def start_shorter(self, turn: Turn) -> None:
        """Of those behind one for whom there is room only where it is kept free, start who is over before that."""
        kept, shape = self.outcome.kept, turn.lane.key.shape
        if not kept or shape.spans or self._standing.floor.find(shape) is None:
            return
        until = max(one.at for one in kept.values())
        for asking in turn.lane.from_place(turn.place + 1, LOOK):
            if asking.expected_s is not None and self._standing.now + asking.expected_s <= until:
                self._start(asking, turn.lane.key)

    def _start(self, asking: Asking, lane: LaneKey) -> Refusal | None:
        shape, least = lane.shape, lane.shape._replace(workers=lane.fewest_workers)
        refusal = never(self._standing, lane) or self._over_quota(asking.project, least)
        if refusal is not None:
            return refusal
        for workers in range(shape.workers, least.workers - 1, -1):
            size = shape if workers == shape.workers else shape._replace(workers=workers)
            if workers > least.workers and self._over_quota(asking.project, size):
                continue
            if parts := self._parts(asking, size):
                self._place(asking, size, parts)
                return None
        return Refusal("room", least)

    def _over_quota(self, project: str, shape: Shape) -> Refusal | None:
        over = self._used_up(project, shape) & shape.kinds
        return Refusal("quota", shape, project) if over else None

    def _used_up(self, project: str, shape: Shape) -> frozenset[str]:
        """The kinds of which the quota has no room for `shape`, or had none for one who was before it."""
        over = tenants.over_quota(self._standing.tenant(project), shape, shape.workers)
        return over | self._closed.get(project, tenants.NOTHING)

    def _parts(self, asking: Asking, shape: Shape) -> tuple[Part, ...] | None:
        """Where a run may start now without being in the way of those for whom something is kept."""
        floor, kept = self._standing.floor, self.outcome.kept

        def allows(node: Node, gpus: Gpus) -> bool:
            mine = kept.get(node.room.name)
            if mine is None or self._is_over_by(asking, mine):
                return True
            return is_there(with_taken(mine.free, shape, gpus, shape.workers), shape)

        if shape.spans:
            nodes = [node for node in floor.board(shape.one()) if not kept or node.room.name not in kept]
            parts = gang.find(nodes, shape, lambda node: node.free)
            if parts is not None or not kept:
                return parts
            shape = shape._replace(spans=False)
        found = floor.find(shape, allows if kept else None)
        return None if found is None else (Part(found.node.room.name, shape.workers, found.gpus),)

    def _place(self, asking: Asking, shape: Shape, parts: tuple[Part, ...]) -> None:
        self._standing.start(asking, parts)
        self.outcome.placements.append(Placement(asking.project, asking.name, parts))
        if self._claims is not None:
            self._claims.take_in(asking.key, shape, parts)
        for part in parts:
            kept = self.outcome.kept.get(part.node)
            if kept is not None and not self._is_over_by(asking, kept):
                kept.free = with_taken(kept.free, shape, part.gpus, part.workers)

    def _is_over_by(self, asking: Asking, kept: Kept) -> bool:
        """Whether a run that starts now is over when what is kept is needed."""
        if kept.firm or asking.expected_s is None:
            return False
        return self._standing.now + asking.expected_s <= kept.at


def never(standing: Standing, lane: LaneKey) -> Refusal | None:
    """Why not even an idle hall would start the runs of a lane, if so."""
    shape = lane.shape._replace(workers=lane.fewest_workers)
    if not standing.floor.nodes:
        return Refusal("no-node", shape)
    if tenants.never_within(standing.tenant(lane.project), shape, shape.workers):
        return Refusal("beyond-quota", shape, lane.project)
    return None if standing.can_ever(shape) else Refusal("too-large", shape)
