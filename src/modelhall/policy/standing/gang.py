"""Room for the workers of one run on several nodes: all of them, or none.

As few nodes as can be. With `pack`, as few racks (or whatever the label names) as can be, and of those that will do
the one with the least room to spare; with `spread`, one worker after the other from the next rack.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from modelhall.policy.room import Free, Shape, has_room, ways
from modelhall.policy.schedule import Part, Room
from modelhall.policy.standing.floor import Node

FreeOf = Callable[[Node], Free]


def find(nodes: Iterable[Node], shape: Shape, free_of: FreeOf) -> tuple[Part, ...] | None:
    """Where the workers of `shape` go, if there is room for all; `free_of` says what to reckon with on a node."""
    room = {node: count for node in nodes if (count := most_workers(free_of(node), shape))}
    if sum(room.values()) < shape.workers:
        return None
    groups: dict[str, list[Node]] = defaultdict(list)
    for node in sorted(room, key=lambda node: node.number):
        groups[_value(node.room, shape.pack or shape.spread)].append(node)
    counts = _spread(groups, room, shape.workers) if shape.spread else _packed(groups, room, shape.workers)
    return tuple(_part(node, free_of(node), shape, count) for node, count in counts.items() if count)


def most_workers(free: Free, shape: Shape) -> int:
    """How many workers of `shape` there is room for where so much is free."""
    count = shape.workers
    for free_of_it, asked in ((free.cpus_milli, shape.cpus_milli), (free.memory_bytes, shape.memory_bytes)):
        if asked:
            count = min(count, max(0, free_of_it) // asked)
    if shape.gpus_milli and count:
        while count and not has_room(free, shape._replace(workers=count)):
            count -= 1
    return count


def _packed(groups: dict[str, list[Node]], room: dict[Node, int], workers: int) -> dict[Node, int]:
    sizes = {name: sum(room[node] for node in nodes) for name, nodes in groups.items()}
    enough = [name for name, size in sizes.items() if size >= workers]
    if enough:
        chosen = [min(enough, key=lambda name: (sizes[name], name))]
    else:
        chosen = sorted(sizes, key=lambda name: (-sizes[name], name))
    counts: dict[Node, int] = {}
    for name in chosen:
        for node in _fewest(groups[name], room, workers - sum(counts.values())):
            counts[node] = min(room[node], workers - sum(counts.values()))
    return counts


def _fewest(nodes: Sequence[Node], room: dict[Node, int], workers: int) -> list[Node]:
    """The largest first, and last the smallest that will do."""
    found: list[Node] = []
    left = sorted(nodes, key=lambda node: (-room[node], node.number))
    while workers > 0 and left:
        enough = [node for node in left if room[node] >= workers]
        node = min(enough, key=lambda node: (room[node], node.number)) if enough else left[0]
        left.remove(node)
        found.append(node)
        workers -= room[node]
    return found


def _spread(groups: dict[str, list[Node]], room: dict[Node, int], workers: int) -> dict[Node, int]:
    counts = dict.fromkeys(room, 0)
    while workers:
        for nodes in groups.values():
            open_ones = [node for node in nodes if counts[node] < room[node]]
            if open_ones and workers:
                counts[min(open_ones, key=lambda node: (counts[node], node.number))] += 1
                workers -= 1
    return counts


def _part(node: Node, free: Free, shape: Shape, count: int) -> Part:
    _, gpus = next(ways(free, shape._replace(workers=count)))
    return Part(node.room.name, count, gpus)


def _value(room: Room, label: str) -> str:
    return room.labels.get(label, room.name) if label else ""
