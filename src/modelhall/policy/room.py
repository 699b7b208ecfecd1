"""What fits where: amounts in whole thousandths and bytes, so that nothing is lost or made by rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from modelhall.policy.schedule import Asking, Room

WHOLE = 1000
"""Thousandths of a GPU that is free, or asked for, as a whole."""
ROUNDING = 1e-6


class Free(NamedTuple):
    """What is not taken of a node."""

    cpus_milli: int
    memory_bytes: int
    gpus: tuple[int, ...]
    """Thousandths of each GPU."""


class Shape(NamedTuple):
    """What a run asks for as far as it decides where there is room: runs of one shape fit in the same places."""

    cpus_milli: int
    """Of each worker, as what follows."""
    memory_bytes: int
    gpus_milli: int
    gpu_type: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    only_on: frozenset[str] | None = None
    workers: int = 1
    """All on one node, unless it spans."""
    spans: bool = False
    pack: str = ""
    spread: str = ""
    of: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """What it asks for any of."""
        asked = {"cpus": self.cpus_milli, "memory": self.memory_bytes, "gpus": self.gpus_milli}
        return frozenset(kind for kind, amount in asked.items() if amount)

    def one(self) -> Shape:
        """One of its workers."""
        return self._replace(workers=1)


def shape_of(asking: Asking, workers: int | None = None) -> Shape:
    """The shape of a run with so many workers, or with all it asks for."""
    return Shape(
        math.ceil(asking.cpus * 1000 - ROUNDING),
        asking.memory_bytes,
        math.ceil(asking.gpus * WHOLE - ROUNDING),
        asking.gpu_type,
        asking.labels,
        asking.only_on,
        asking.workers if workers is None else workers,
        asking.spans and asking.workers > 1,
        asking.pack,
        asking.spread,
        asking.of if asking.serves else "",
    )


def free_of(room: Room) -> Free:
    gpus = room.free_gpus or (1.0,) * room.gpus
    return Free(
        math.floor(room.free_cpus * 1000 + ROUNDING),
        room.free_memory_bytes,
        tuple(math.floor(free * WHOLE + ROUNDING) for free in gpus),
    )


def whole_of(room: Room) -> Free:
    """A node with nothing on it."""
    return Free(math.floor(room.cpus * 1000 + ROUNDING), room.memory_bytes, (WHOLE,) * room.gpus)


def suits(room: Room, shape: Shape) -> bool:
    """Whether the node is of the sort that is asked for, however full."""
    named = shape.only_on is None or room.name in shape.only_on
    typed = not shape.gpu_type or shape.gpu_type == room.gpu_type
    return named and typed and all(room.labels.get(name) == value for name, value in shape.labels)


Gpus = tuple[tuple[int, int], ...]
"""Number of a GPU, thousandths."""


def ways(free: Free, shape: Shape) -> Iterator[tuple[Free, Gpus]]:
    """Each way to put all workers of `shape` on a node, with what is free after it and which GPUs it takes. There
    are several where a part of a GPU is asked for; workers but the last take the GPU with the least room."""
    cpus_milli = free.cpus_milli - shape.cpus_milli * shape.workers
    memory_bytes = free.memory_bytes - shape.memory_bytes * shape.workers
    if (cpus_milli < 0 and shape.cpus_milli) or (memory_bytes < 0 and shape.memory_bytes):
        return
    if not shape.gpus_milli:
        yield Free(cpus_milli, memory_bytes, free.gpus), ()
    elif shape.gpus_milli >= WHOLE:
        yield from _whole(cpus_milli, memory_bytes, free.gpus, shape.gpus_milli // WHOLE * shape.workers)
    else:
        yield from _parts(cpus_milli, memory_bytes, free.gpus, shape)


def with_taken(free: Free, shape: Shape, gpus: Gpus, workers: int) -> Free:
    """What is left when so many workers have these GPUs."""
    return _changed(free, shape, gpus, -workers)


def with_given(free: Free, shape: Shape, gpus: Gpus, workers: int) -> Free:
    """What there is when so many workers have gone from these GPUs."""
    return _changed(free, shape, gpus, workers)


def is_there(free: Free, shape: Shape) -> bool:
    """Whether nothing of what `shape` asks for is taken beyond what there was."""
    return (
        (free.cpus_milli >= 0 or not shape.cpus_milli)
        and (free.memory_bytes >= 0 or not shape.memory_bytes)
        and (not shape.gpus_milli or min(free.gpus) >= 0)
    )


def has_room(free: Free, shape: Shape) -> bool:
    return next(ways(free, shape), None) is not None


def _whole(
    cpus_milli: int, memory_bytes: int, gpus: tuple[int, ...], count: int
) -> Iterator[tuple[Free, Gpus]]:
    idle = [number for number, free in enumerate(gpus) if free == WHOLE][:count]
    if len(idle) == count:
        left = list(gpus)
        for number in idle:
            left[number] = 0
        yield Free(cpus_milli, memory_bytes, tuple(left)), tuple((number, WHOLE) for number in idle)


def _parts(
    cpus_milli: int, memory_bytes: int, gpus: tuple[int, ...], shape: Shape
) -> Iterator[tuple[Free, Gpus]]:
    left, taken, part = list(gpus), [], shape.gpus_milli
    for _ in range(shape.workers - 1):
        number = min((n for n, free in enumerate(left) if free >= part), key=left.__getitem__, default=None)
        if number is None:
            return
        left[number] -= part
        taken.append((number, part))
    tried = set[int]()
    for number, free in enumerate(left):
        if free >= part and free not in tried:
            tried.add(free)
            after = (*left[:number], free - part, *left[number + 1 :])
            yield Free(cpus_milli, memory_bytes, after), (*taken, (number, part))


def _changed(free: Free, shape: Shape, gpus: Gpus, workers: int) -> Free:
    after = list(free.gpus)
    for number, milli in gpus:
        after[number] += milli if workers > 0 else -milli
    return Free(
        free.cpus_milli + shape.cpus_milli * workers,
        free.memory_bytes + shape.memory_bytes * workers,
        tuple(after),
    )
