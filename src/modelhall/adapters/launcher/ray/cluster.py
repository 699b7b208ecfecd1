"""What the hall and the process that speaks with Ray say to each other, and what nodes of a cluster are to it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from modelhall.core.kinds.base import Frozen
from modelhall.core.node_line import Posting

PREFIX = "ray-"
"""How the names of Ray's nodes begin in a hall."""
LONGEST_NAME = 58
"""A token is named after a node, with a few letters before it."""
ACCELERATOR = "accelerator_type:"
_NO_LETTER = re.compile("[^a-z0-9-]+")


class Agent(Frozen):
    """What the actor on a node tells of the agent there."""

    works: bool = False
    hall: str = ""
    """Where it dials in."""
    problem: str = ""
    """Why it ended by itself."""
    available: dict[str, float] | None = None
    """What is not taken of its node; None where that is not known."""


class RayNode(Frozen):
    """A node that Ray calls alive."""

    id: str
    name: str
    address: str
    resources: dict[str, float]
    """All of Ray's that it has, by their names: CPU, GPU, memory (bytes) and others."""
    labels: dict[str, str] = Field(default_factory=dict)
    agent: Agent | None = None
    """None where there is no actor, or it does not answer."""

    @property
    def called(self) -> str:
        """Its name in the hall."""
        return (PREFIX + _NO_LETTER.sub("-", self.name.lower()).strip("-"))[:LONGEST_NAME].rstrip("-")

    @property
    def gpu_type(self) -> str:
        """Such as H100; empty where Ray does not say."""
        found = (name for name in self.resources if name.startswith(ACCELERATOR))
        return self.labels.get("ray.io/accelerator-type") or next(found, "").removeprefix(ACCELERATOR)


class Held(Frozen):
    """What the hall holds of a node for an attempt."""

    name: str
    node_id: str
    """Empty while Ray has no place for it."""
    amounts: dict[str, float]


class Sight(Frozen):
    """The cluster, at one look."""

    nodes: tuple[RayNode, ...]
    held: tuple[Held, ...]


class Reserved(Frozen):
    """What a reservation came to."""

    has_room: bool
    gpus: tuple[str, ...] = ()
    """Which of the node's GPUs Ray has given."""


class Done(Frozen):
    """A thing that has been done."""


class Look(Frozen):
    do: Literal["look"] = "look"


class Post(Frozen):
    """Have an agent be at work on a node, in place of the one that is. It is refused where the node has another
    version of Modelhall."""

    do: Literal["post"] = "post"
    node_id: str
    posting: Posting


class Reserve(Frozen):
    """Hold something of a node under a name, unless that is done already."""

    do: Literal["reserve"] = "reserve"
    name: str
    node_id: str
    amounts: dict[str, float]


class Release(Frozen):
    """Give it back; harmless when there is nothing of that name."""

    do: Literal["release"] = "release"
    name: str


class Asked(Frozen):
    """One line to the process that speaks with Ray."""

    number: int
    what: Annotated[Look | Post | Reserve | Release, Field(discriminator="do")]


class Answer(Frozen):
    """One line of its answer."""

    number: int
    said: Sight | Reserved | Done | None = None
    problem: str = ""


def others_hold(node: RayNode, held: tuple[Held, ...]) -> dict[str, float]:
    """What somebody else than the hall has taken of a node."""
    available = node.agent.available if node.agent is not None else None
    if available is None:
        return {}
    own = [one.amounts for one in held if one.node_id == node.id]
    taken = {
        name: total - available.get(name, 0.0) - sum(amounts.get(name, 0.0) for amounts in own)
        for name, total in node.resources.items()
    }
    return {name: amount for name, amount in taken.items() if amount > 0}
