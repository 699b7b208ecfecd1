"""Those who wait, in lanes: runs of one project and one shape, in the policy's order.

Where there is no room for the first of a lane there is none for the others, so a round costs what there are lanes,
and not what there are runs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

from modelhall.policy.room import Shape, shape_of
from modelhall.policy.schedule import Asking, RunKey

Order = Callable[[Asking], tuple[Any, ...]]
"""Where a run stands among those of its group; the least is the first. No two runs stand in one place."""
Rank = Callable[[str], float]
"""Whose turn it is among groups; the least is the first."""
SERVICES = ""
"""The group of all replicas, whatever their project."""


class LaneKey(NamedTuple):
    group: str
    project: str
    shape: Shape
    fewest_workers: int


class Lane:
    """Runs that fit in the same places, in order."""

    __slots__ = ("_runs", "key", "number")

    def __init__(self, key: LaneKey, number: int) -> None:
        self.key = key
        self.number = number
        self._runs: list[tuple[tuple[Any, ...], Asking]] = []

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Asking]:
        return (asking for _, asking in self._runs)

    def from_place(self, place: int, most: int) -> list[Asking]:
        """Up to `most` runs from the one at `place` on."""
        return [asking for _, asking in islice(self._runs, place, place + most)]

    def order_at(self, place: int) -> tuple[Any, ...]:
        return self._runs[place][0]

    def at(self, place: int) -> Asking:
        return self._runs[place][1]

    def add(self, order: tuple[Any, ...], asking: Asking) -> None:
        insort(self._runs, (order, asking), key=itemgetter(0))

    def remove(self, order: tuple[Any, ...]) -> None:
        del self._runs[bisect_left(self._runs, order, key=itemgetter(0))]


class Line:
    """All who wait. `by_project`: each project is a group, and so are all replicas; else there is one group."""

    def __init__(self, order: Order, *, by_project: bool) -> None:
        self.groups: dict[str, dict[LaneKey, Lane]] = {}
        self._order = order
        self._by_project = by_project
        self._where: dict[RunKey, tuple[Asking, Lane]] = {}
        self._lanes = 0

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, key: RunKey) -> bool:
        return key in self._where

    def __iter__(self) -> Iterator[Asking]:
        return (asking for asking, _ in self._where.values())

    def add(self, asking: Asking) -> None:
        group = asking.project if self._by_project and not asking.serves else SERVICES
        key = LaneKey(group, asking.project, shape_of(asking), asking.fewest_workers)
        lanes = self.groups.setdefault(group, {})
        lane = lanes.get(key)
        if lane is None:
            self._lanes += 1
            lane = lanes[key] = Lane(key, self._lanes)
        lane.add(self._order(asking), asking)
        self._where[asking.key] = (asking, lane)

    def remove(self, key: RunKey) -> Asking:
        asking, lane = self._where.pop(key)
        lane.remove(self._order(asking))
        if not lane:
            lanes = self.groups[lane.key.group]
            del lanes[lane.key]
            if not lanes:
                del self.groups[lane.key.group]
        return asking

    def get(self, key: RunKey) -> Asking | None:
        found = self._where.get(key)
        return found[0] if found else None

    def in_order(self) -> list[tuple[Asking, Lane]]:
        """Who waits, and the lane of each; groups are not told apart."""
        return sorted(self._where.values(), key=lambda one: self._order(one[0]))

    def lane_of(self, key: RunKey) -> Lane:
        return self._where[key][1]


class Turn(NamedTuple):
    """A lane whose turn it is, and the place in it of the run that is meant."""

    lane: Lane
    place: int

    @property
    def asking(self) -> Asking:
        return self.lane.at(self.place)


class Turns:
    """Whose turn it is, in one round: of the groups by their rank, and in a group by the order of runs."""

    def __init__(self, line: Line, rank: Rank) -> None:
        self._rank = rank
        self._lanes = {
            name: [_entry(lane, 0) for lane in lanes.values()] for name, lanes in line.groups.items()
        }
        for lanes in self._lanes.values():
            heapify(lanes)
        self._groups = [(rank(name), name) for name in self._lanes]
        heapify(self._groups)
        self._last: str | None = None

    def next(self) -> Turn | None:
        """The next one; its lane has no other turn unless it is given one by `again`."""
        if self._last is not None and self._lanes[self._last]:
            heappush(self._groups, (self._rank(self._last), self._last))
        self._last = None
        if not self._groups:
            return None
        _, self._last = heappop(self._groups)
        _, _, place, lane = heappop(self._lanes[self._last])
        return Turn(lane, place)

    def again(self, lane: Lane, place: int) -> None:
        """The run at `place` of a lane that has just had its turn is to have one, if there is one."""
        if place < len(lane):
            heappush(self._lanes[lane.key.group], _entry(lane, place))


def _entry(lane: Lane, place: int) -> tuple[tuple[Any, ...], int, int, Lane]:
    return lane.order_at(place), lane.number, place, lane
