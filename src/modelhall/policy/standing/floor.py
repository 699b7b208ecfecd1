"""The nodes and what of them is free, indexed so that a search costs what has changed since the last one alike.

For each shape that was ever searched there is a board: the nodes that have room for it, the best first by the rule of
placement. A board takes in the nodes that have changed since it was last looked at, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import NamedTuple

from modelhall.policy.placement import Score
from modelhall.policy.room import (
    Free,
    Gpus,
    Shape,
    free_of,
    has_room,
    suits,
    ways,
    whole_of,
    with_given,
    with_taken,
)
from modelhall.policy.schedule import Part, Room


class Node:
    """One node of the floor."""

    __slots__ = ("free", "number", "of", "room", "version", "whole")

    def __init__(self, number: int, room: Room) -> None:
        self.number = number
        self.room = room
        self.free = free_of(room)
        self.whole = whole_of(room)
        self.version = 0
        self.of: dict[str, int] = {}
        """How many replicas of each service are on it."""


class Found(NamedTuple):
    """Room for all workers of a shape on one node."""

    node: Node
    after: Free
    gpus: Gpus


Allows = Callable[[Node, Gpus], bool]


class Floor:
    def __init__(self, rooms: Iterable[Room], score: Score, chance: Random | None = None) -> None:
        """With `chance`, nodes that are equally good are taken at random, without it the first by name."""
        self.nodes = {
            room.name: Node(number, room)
            for number, room in enumerate(sorted(rooms, key=lambda room: room.name))
        }
        self._numbers = len(self.nodes)
        self._score = score
        self._chance = chance
        self._changed: list[Node] = []
        self._boards: dict[Shape, _Board] = {}

    def find(self, shape: Shape, allows: Allows | None = None) -> Found | None:
        """The best room for `shape` on one node; `allows` may refuse a node."""
        return self._board(shape).best(allows)

    def can_ever(self, shape: Shape) -> bool:
        """Whether an idle floor has room for one worker of `shape` after the other on one node."""
        return any(suits(n.room, shape) and has_room(n.whole, shape) for n in self.nodes.values())

    def take(self, shape: Shape, part: Part) -> None:
        """Workers of `shape` begin on a node."""
        node = self.nodes[part.node]
        self._count(node, shape, 1)
        self._become(node, with_taken(node.free, shape, part.gpus, part.workers))

    def give(self, shape: Shape, part: Part) -> None:
        """Workers of `shape` have gone from a node, if it is still there."""
        node = self.nodes.get(part.node)
        if node is not None:
            self._count(node, shape, -1)
            self._become(node, with_given(node.free, shape, part.gpus, part.workers))

    def put(self, room: Room) -> None:
        """A node comes, or is another than it was."""
        before = self.nodes.get(room.name)
        self._numbers += before is None
        node = self.nodes[room.name] = Node(before.number if before else self._numbers, room)
        if before is not None:
            before.version += 1
        self._changed.append(node)

    def remove(self, name: str) -> None:
        """A node is gone."""
        self.nodes.pop(name).version += 1

    def board(self, shape: Shape) -> Sequence[Node]:
        """All nodes that have room for `shape`, in no order."""
        return self._board(shape).nodes()

    def copy(self) -> Floor:
        """Another floor with the same on it, which goes its own way."""
        twin = Floor((), self._score, self._chance)
        for name, node in self.nodes.items():
            other = twin.nodes[name] = Node(node.number, node.room)
            other.free, other.of = node.free, dict(node.of)
        return twin

    def _board(self, shape: Shape) -> _Board:
        board = self._boards.get(shape)
        if board is None:
            board = self._boards[shape] = _Board(shape, self._score, self._chance)
            board.take_in(self.nodes.values())
        else:
            board.take_in(self._changed[board.read_to :])
        board.read_to = len(self._changed)
        return board

    def _become(self, node: Node, free: Free) -> None:
        node.free = free
        node.version += 1
        self._changed.append(node)

    def _count(self, node: Node, shape: Shape, more: int) -> None:
        if shape.of:
            node.of[shape.of] = node.of.get(shape.of, 0) + more


class _Board:
    """The nodes that have room for one shape. What has changed since is found out of date when its turn comes."""

    def __init__(self, shape: Shape, score: Score, chance: Random | None) -> None:
        self.read_to = 0
        self._shape = shape
        self._score = score
        self._chance = chance
        self._reached = 0.0
        self._heap: list[tuple[float, float, float, int, int, Node]] = []
        self._known: dict[Free, tuple[float, Free, Gpus] | None] = {}

    def take_in(self, nodes: Iterable[Node]) -> None:
        """Consider these nodes as they are now."""
        fresh = {node.number: node for node in nodes}.values()
        entries = [entry for node in fresh if (entry := self._entry(node)) is not None]
        if len(entries) > len(self._heap):
            self._heap += entries
            heapify(self._heap)
            return
        for entry in entries:
            heappush(self._heap, entry)

    def best(self, allows: Allows | None) -> Found | None:
        passed = []
        found = None
        while self._heap:
            entry = self._heap[0]
            node = entry[-1]
            if entry[-2] != node.version:
                heappop(self._heap)
                continue
            how = self._known[node.free]
            assert how is not None
            if allows is None or allows(node, how[2]):
                found = Found(node, how[1], how[2])
                self._reached = entry[2]
                break
            passed.append(heappop(self._heap))
        for entry in passed:
            heappush(self._heap, entry)
        return found

    def nodes(self) -> list[Node]:
        return [entry[-1] for entry in self._heap if entry[-2] == entry[-1].version]

    def _entry(self, node: Node) -> tuple[float, float, float, int, int, Node] | None:
        if not suits(node.room, self._shape):
            return None
        how = self._how(node.free)
        if how is None:
            return None
        beside = node.of.get(self._shape.of, 0) if self._shape.of else 0
        return beside, how[0], self._tie(), node.number, node.version, node

    def _how(self, free: Free) -> tuple[float, Free, Gpus] | None:
        """The best way to put the shape where so much is free."""
        if free not in self._known:
            found = [(self._score(free, after), after, gpus) for after, gpus in ways(free, self._shape)]
            self._known[free] = min(found, key=lambda way: way[0], default=None)
        return self._known[free]

    def _tie(self) -> float:
        # Clocks that ring at random have no memory: of those that are due later than the one that has rung last, each
        # is the next with the same chance, whenever it was wound up.
        return self._reached + self._chance.expovariate(1.0) if self._chance else 0.0
