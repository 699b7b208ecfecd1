"""Why a run does not start now: told in a word while deciding, and in a sentence to who asks."""

from __future__ import annotations

from typing import Literal, NamedTuple

from modelhall.policy.room import WHOLE, Shape
from modelhall.policy.schedule import RunKey
from modelhall.policy.standing import Standing, gang

SHOWN = 4


class Refusal(NamedTuple):
    cause: Literal["no-node", "beyond-quota", "too-large", "quota", "room", "behind"]
    shape: Shape
    project: str = ""
    """Whose quota it is."""
    behind: RunKey | None = None
    """Who waits for the same and may not be overtaken."""

    @property
    def never(self) -> bool:
        """Whether no change of the load would start it."""
        return self.cause in ("no-node", "beyond-quota", "too-large")


def sentence(standing: Standing, refusal: Refusal) -> str:
    """The reason as a person is told it."""
    match refusal.cause:
        case "no-node":
            return "no node is ready"
        case "beyond-quota":
            return _beyond_quota(standing, refusal)
        case "too-large":
            return _too_large(standing, refusal.shape)
        case "quota":
            return _over_quota(standing, refusal)
        case "room":
            return _no_room(standing, refusal.shape)
        case "behind":
            assert refusal.behind is not None
            return (
                f"waits for {size(refusal.shape)}; run {refusal.behind.name} is before it and waits for room"
            )


def size(shape: Shape) -> str:
    """What all its workers take, in words."""
    asked = [f"{shape.cpus_milli * shape.workers / 1000:g} CPUs"] if shape.cpus_milli else []
    if shape.gpus_milli:
        asked.append(gpus(shape.gpus_milli * shape.workers, shape.gpu_type))
    of = f" for {shape.workers} workers" if shape.workers > 1 else ""
    return (" and ".join(asked) or "0 CPUs") + of


def gpus(milli: int, type_: str = "") -> str:
    return f"{milli / WHOLE:g} {type_ + ' ' if type_ else ''}{'GPU' if milli == WHOLE else 'GPUs'}"


def _memory(shape: Shape) -> str:
    return f"{shape.memory_bytes * shape.workers / 2**30:.1f} GiB"


def _beyond_quota(standing: Standing, refusal: Refusal) -> str:
    share = standing.tenant(refusal.project).share
    may = [f"{share.most_cpus:g}"] if share.most_cpus is not None and refusal.shape.cpus_milli else []
    if share.most_gpus is not None and refusal.shape.gpus_milli:
        may.append(gpus(round(share.most_gpus * WHOLE)))
    return f"asks for {size(refusal.shape)}; project {refusal.project} may hold {' and '.join(may)}"


def _over_quota(standing: Standing, refusal: Refusal) -> str:
    tenant, shape = standing.tenant(refusal.project), refusal.shape
    held = []
    if tenant.share.most_cpus is not None and shape.cpus_milli:
        held.append(f"{tenant.cpus_milli / 1000:g} of its {tenant.share.most_cpus:g} CPUs")
    if tenant.share.most_gpus is not None and shape.gpus_milli:
        held.append(f"{tenant.gpus_milli / WHOLE:g} of its {gpus(round(tenant.share.most_gpus * WHOLE))}")
    return f"project {refusal.project} holds {' and '.join(held)}, and this asks for {size(shape)}"


def _too_large(standing: Standing, shape: Shape) -> str:
    nodes = standing.floor.nodes.values()
    suited = [node for node in nodes if not shape.gpu_type or node.room.gpu_type == shape.gpu_type]
    if not suited:
        types = ", ".join(sorted({node.room.gpu_type for node in nodes if node.room.gpu_type})) or "none"
        return f"asks for {size(shape)}; of GPUs there is: {types}"
    labelled = [n for n in suited if all(n.room.labels.get(name) == value for name, value in shape.labels)]
    if not labelled:
        asked = ", ".join(f"{name}={value}" for name, value in shape.labels)
        return f"asks for a node with {asked}, and there is none"
    if shape.spans:
        room = sum(gang.most_workers(node.whole, shape) for node in labelled)
        return f"asks for {size(shape)} and {_memory(shape)}; all nodes together have room for {room} of them, idle"
    largest = max(labelled, key=lambda n: (len(n.whole.gpus) if shape.gpus_milli else 0, n.whole))
    has = f"{largest.room.cpus:g} and {largest.room.memory_bytes / 2**30:.1f} GiB"
    has += f" and {gpus(sum(largest.whole.gpus))}" if shape.gpus_milli else ""
    return f"asks for {size(shape)} and {_memory(shape)}; the largest node, {largest.room.name}, has {has}"


def _no_room(standing: Standing, shape: Shape) -> str:
    by_gpus = bool(shape.gpus_milli)
    freest = max(
        standing.floor.nodes.values(),
        key=lambda node: (sum(node.free.gpus) if by_gpus else 0, node.free, -node.number),
    )
    room, free = freest.room, freest.free
    there = [f"{free.cpus_milli / 1000:g} of {room.cpus:g} CPUs"] if shape.cpus_milli or not by_gpus else []
    if by_gpus:
        there.append(f"{sum(free.gpus) / WHOLE:g} of {room.gpus:g} GPUs")
    here = {key.name for key in standing.on.get(room.name, {})}
    holders = [*room.holders, *sorted(here - set(room.holders))]
    who = ", ".join(holders[:SHOWN]) + (" and others" if len(holders) > SHOWN else "")
    return (
        f"waits for {size(shape)} and {_memory(shape)}; node {room.name} has {' and '.join(there)} free"
        + (f", used by {who}" if who else "")
    )
