"""Replicas first, then by priority, then by age; each on the first node with room.

Nobody is overtaken for want of room: what a waiting run asks for is kept free from those behind it, unless not
even an idle hall could start it. Who waits for his project's quota is in the way of that project alone. Workers of
one run are placed on one node, all or none; who makes do with fewer gets as many as there is room for.
(Backfill, shares and preemption are policies of their own.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from modelhall.policy.schedule import Asking, Hold, Placement, Room, Share

UNLIMITED = Share(used_cpus=0.0, most_cpus=None)


def place(
    queue: Sequence[Asking], nodes: Sequence[Room], projects: Mapping[str, Share]
) -> list[Placement | Hold]:
    """Decide every run in `queue` against the room on `nodes` and the quotas of `projects`."""
    rooms = {node.name: node for node in sorted(nodes, key=lambda node: node.name)}
    shares = dict(projects)
    kept, kept_of_quota = _Kept(0.0, 0), defaultdict[str, float](float)
    decisions: list[Placement | Hold] = []
    for asking in sorted(queue, key=lambda a: (not a.serves, -a.priority, a.since, a.project, a.name)):
        share, of_quota = shares.get(asking.project, UNLIMITED), kept_of_quota[asking.project]
        least = _Size.of(asking, asking.fewest_workers)
        possible = [room for room in rooms.values() if asking.may_be_on(room.name)]
        never = _never_starts(asking, least, share, possible)
        reason = never or _over_quota(asking, least, share, of_quota)
        if reason is None:
            found = _best(asking, share, of_quota, possible, kept)
            if found is not None:
                size, room = found
                rooms[room.name] = _taken(room, asking.name, size)
                shares[asking.project] = replace(share, used_cpus=share.used_cpus + size.cpus)
                decisions.append(Placement(asking.project, asking.name, room.name, size.workers))
                continue
            reason = _no_room(least, possible, kept)
            kept = _Kept(kept.cpus + least.cpus, kept.memory_bytes + least.memory_bytes)
        if never is None:
            kept_of_quota[asking.project] += least.cpus
        decisions.append(Hold(asking.project, asking.name, reason, never is not None))
    return decisions


class _Size(NamedTuple):
    """A run with so many workers: what all of them take."""

    workers: int
    cpus: float
    memory_bytes: int

    @classmethod
    def of(cls, asking: Asking, workers: int) -> _Size:
        return cls(workers, asking.cpus * workers, asking.memory_bytes * workers)

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs" + (f" for {self.workers} workers" if self.workers > 1 else "")


class _Kept(NamedTuple):
    """What those ahead that wait for room ask for together."""

    cpus: float
    memory_bytes: int


def _best(
    asking: Asking, share: Share, kept_of_quota: float, rooms: list[Room], kept: _Kept
) -> tuple[_Size, Room] | None:
    """As many workers as there is room for, on the first node that has it."""
    for count in range(asking.workers, asking.fewest_workers - 1, -1):
        size = _Size.of(asking, count)
        if _over_quota(asking, size, share, kept_of_quota) is None:
            for room in rooms:
                if _fits(size, room, kept):
                    return size, room
    return None


def _never_starts(asking: Asking, size: _Size, share: Share, rooms: list[Room]) -> str | None:
    """Why not even an idle hall would start this, if so."""
    if not rooms:
        return "no node is ready" if asking.only_on is None else "no node that it can run on is ready"
    if share.most_cpus is not None and size.cpus > share.most_cpus + 1e-9:
        return f"asks for {size}; project {asking.project} may hold {share.most_cpus:g}"
    if any(size.cpus <= r.cpus + 1e-9 and size.memory_bytes <= r.memory_bytes for r in rooms):
        return None
    largest = max(rooms, key=lambda r: (r.cpus, r.memory_bytes))
    return (
        f"asks for {size} and {size.memory_bytes / 2**30:.1f} GiB; the largest node, "
        f"{largest.name}, has {largest.cpus:g} and {largest.memory_bytes / 2**30:.1f} GiB"
    )


def _over_quota(asking: Asking, size: _Size, share: Share, kept_cpus: float) -> str | None:
    if not size.cpus or share.most_cpus is None:
        return None
    if share.used_cpus + kept_cpus + size.cpus <= share.most_cpus + 1e-9:
        return None
    ahead = f", {kept_cpus:g} are kept for runs ahead" if kept_cpus else ""
    return (
        f"project {asking.project} holds {share.used_cpus:g} of its {share.most_cpus:g} CPUs{ahead}, "
        f"and this asks for {size.cpus:g}"
    )


def _fits(size: _Size, room: Room, kept: _Kept) -> bool:
    """Whether there is room beside what is kept for others. What asks for none of a thing takes none from them."""
    needs_cpus = size.cpus + kept.cpus if size.cpus else 0.0
    needs_bytes = size.memory_bytes + kept.memory_bytes if size.memory_bytes else 0
    return needs_cpus <= room.free_cpus + 1e-9 and needs_bytes <= room.free_memory_bytes


def _taken(room: Room, name: str, size: _Size) -> Room:
    return replace(
        room,
        free_cpus=room.free_cpus - size.cpus,
        free_memory_bytes=room.free_memory_bytes - size.memory_bytes,
        holders=(*room.holders, name),
    )


def _no_room(size: _Size, rooms: list[Room], kept: _Kept) -> str:
    freest = max(rooms, key=lambda r: (r.free_cpus, r.free_memory_bytes))
    holders = ", ".join(freest.holders[:4]) + (" and others" if len(freest.holders) > 4 else "")
    return (
        f"waits for {size} and {size.memory_bytes / 2**30:.1f} GiB; node {freest.name} has "
        f"{freest.free_cpus:g} of {freest.cpus:g} CPUs free"
        + (f", used by {holders}" if holders else "")
        + (f"; {kept.cpus:g} CPUs are kept for runs ahead" if kept.cpus else "")
    )
