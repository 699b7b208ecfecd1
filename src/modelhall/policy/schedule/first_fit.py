"""Replicas first, then by priority, then by age; each on the first node with room.

Nobody is overtaken for want of room: what a waiting run asks for is kept free from those behind it, unless no
node could ever hold it. (Backfill, shares and preemption are policies of their own.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelhall.policy.schedule import Asking, Hold, Placement, Room, Share


def place(
    queue: Sequence[Asking], nodes: Sequence[Room], projects: Mapping[str, Share]
) -> list[Placement | Hold]:
    """Decide every run in `queue` against the room on `nodes` and the quotas of `projects`."""
    rooms = {node.name: node for node in sorted(nodes, key=lambda node: node.name)}
    shares = dict(projects)
    waiting_cpus = 0.0
    decisions: list[Placement | Hold] = []
    for asking in sorted(queue, key=lambda a: (not a.serves, -a.priority, a.since, a.name)):
        share = shares.get(asking.project, Share(used_cpus=0.0, most_cpus=None))
        reason = _over_quota(asking, share)
        if reason is None:
            room = next((r for r in rooms.values() if _fits(asking, r, waiting_cpus)), None)
            if room is not None:
                rooms[room.name] = _taken(room, asking)
                shares[asking.project] = replace(share, used_cpus=share.used_cpus + asking.cpus)
                decisions.append(Placement(asking.project, asking.name, room.name))
                continue
            reason = _no_room(asking, list(rooms.values()))
        never = _never_fits(asking, list(rooms.values()))
        waiting_cpus += 0.0 if never else asking.cpus
        decisions.append(Hold(asking.project, asking.name, reason, never))
    return decisions


def _fits(asking: Asking, room: Room, waiting_cpus: float) -> bool:
    needs_cpus = asking.cpus + (waiting_cpus if asking.cpus else 0.0)
    return needs_cpus <= room.free_cpus + 1e-9 and asking.memory_bytes <= room.free_memory_bytes


def _taken(room: Room, asking: Asking) -> Room:
    return replace(
        room,
        free_cpus=room.free_cpus - asking.cpus,
        free_memory_bytes=room.free_memory_bytes - asking.memory_bytes,
        holders=(*room.holders, asking.name),
    )


def _over_quota(asking: Asking, share: Share) -> str | None:
    if share.most_cpus is None or share.used_cpus + asking.cpus <= share.most_cpus + 1e-9:
        return None
    return (
        f"project {asking.project} holds {share.used_cpus:g} of its {share.most_cpus:g} CPUs, "
        f"and this asks for {asking.cpus:g}"
    )


def _never_fits(asking: Asking, rooms: list[Room]) -> bool:
    return not any(asking.cpus <= r.cpus + 1e-9 and asking.memory_bytes <= r.memory_bytes for r in rooms)


def _no_room(asking: Asking, rooms: list[Room]) -> str:
    if not rooms:
        return "no node is ready"
    largest = max(rooms, key=lambda r: (r.cpus, r.memory_bytes))
    if _never_fits(asking, rooms):
        return (
            f"asks for {asking.cpus:g} CPUs and {asking.memory_bytes / 2**30:.1f} GiB; the largest node, "
            f"{largest.name}, has {largest.cpus:g} and {largest.memory_bytes / 2**30:.1f} GiB"
        )
    freest = max(rooms, key=lambda r: (r.free_cpus, r.free_memory_bytes))
    holders = ", ".join(freest.holders[:4]) + (" and others" if len(freest.holders) > 4 else "")
    return (
        f"waits for {asking.cpus:g} CPUs and {asking.memory_bytes / 2**30:.1f} GiB; node {freest.name} has "
        f"{freest.free_cpus:g} of {freest.cpus:g} CPUs free" + (f", used by {holders}" if holders else "")
    )
