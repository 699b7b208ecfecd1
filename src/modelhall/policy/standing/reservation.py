"""When and where a run that waits for room will have it, as far as one can tell, and what is kept free for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelhall.policy.room import Free, Shape, has_room, shape_of, suits, ways, with_given, with_taken
from modelhall.policy.schedule import Held, Part, RunKey
from modelhall.policy.standing import Standing, gang
from modelhall.policy.standing.floor import Node

SHORTEST_S = 60.0


@dataclass(kw_only=True)
class Kept:
    """What others may take of a node until a run that waits begins there, and after it has."""

    by: RunKey
    at: float
    """When it is expected to begin."""
    free: Free
    """What is free beside it from then on."""
    firm: bool = False
    """Whether nobody may be there until then, however soon he expects to be over."""


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """Where a run will begin, and when."""

    at: float
    ends: int
    """How many runs have to end before. Where their ends are guessed alike, the fewer the likelier."""
    parts: tuple[Part, ...]
    free: Mapping[str, Free]
    """What is free on its nodes then, without it."""


def ends_at(held: Held, now: float) -> float:
    """When a run is thought to be over. Who has outrun his time, or has none, is taken to be half through."""
    if held.leaving:
        return now
    if held.ends_at is not None and held.ends_at > now:
        return held.ends_at
    return now + max(SHORTEST_S, now - held.started_at)


def prospect(standing: Standing, shape: Shape, taken: Mapping[str, Kept]) -> Prospect | None:
    """The soonest place for `shape` on nodes where nothing is kept for others; None where there is none."""
    nodes = [
        node
        for node in standing.floor.nodes.values()
        if node.room.name not in taken and suits(node.room, shape)
    ]
    if shape.spans:
        return _of_gang(standing, shape, nodes)
    best: Prospect | None = None
    for node in nodes:
        limit = (best.at, best.ends) if best else (math.inf, 0)
        best = _on_node(standing, shape, node, before=limit) or best
    return best


def _on_node(standing: Standing, shape: Shape, node: Node, *, before: tuple[float, int]) -> Prospect | None:
    """The soonest on one node, if it is sooner than `before`."""
    if not has_room(node.whole, shape):
        return None
    free, at, ended = node.free, standing.now, 0
    ends = _ends(standing, [node])
    while not (way := next(ways(free, shape), None)):
        end = next(ends, None)
        if end is None:
            return None
        at, held, part = end
        ended += 1
        if (at, ended) >= before:
            return None
        free = with_given(free, shape_of(held.asking), part.gpus, part.workers)
    part = Part(node.room.name, shape.workers, way[1])
    return Prospect(at=at, ends=ended, parts=(part,), free={node.room.name: free})


def _of_gang(standing: Standing, shape: Shape, nodes: list[Node]) -> Prospect | None:
    free = {node.room.name: node.free for node in nodes}
    at = standing.now
    room = {node: gang.most_workers(node.free, shape) for node in nodes}
    by_name = {node.room.name: node for node in nodes}
    ends, ended = _ends(standing, nodes), 0
    total = sum(room.values())
    while total < shape.workers:
        end = next(ends, None)
        if end is None:
            return None
        at, held, part = end
        ended += 1
        node = by_name[part.node]
        free[part.node] = with_given(free[part.node], shape_of(held.asking), part.gpus, part.workers)
        total -= room[node]
        room[node] = gang.most_workers(free[part.node], shape)
        total += room[node]
    parts = gang.find(nodes, shape, lambda node: free[node.room.name])
    assert parts is not None
    return Prospect(at=at, ends=ended, parts=parts, free={part.node: free[part.node] for part in parts})


def keep(into: dict[str, Kept], found: Prospect, shape: Shape, by: RunKey, *, firm: bool = False) -> None:
    """Keep a place free for who waits for it."""
    for part in found.parts:
        left = with_taken(found.free[part.node], shape, part.gpus, part.workers)
        into[part.node] = Kept(by=by, at=found.at, free=left, firm=firm)


def _ends(standing: Standing, nodes: list[Node]) -> Iterator[tuple[float, Held, Part]]:
    """The runs on these nodes in the order of their ends."""
    there = {node.room.name for node in nodes}
    found = {held.asking.key: held for name in there for held in standing.on.get(name, {}).values()}
    ends = [
        (ends_at(held, standing.now), held.asking.key, part, held)
        for held in found.values()
        for part in held.parts
        if part.node in there
    ]
    for at, _, part, held in sorted(ends, key=lambda end: end[:2]):
        yield at, held, part
