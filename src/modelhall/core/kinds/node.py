"""`node`: a machine. What it is comes from its launcher; whether it is used, people say."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from modelhall.core.kinds.base import Document, Frozen, Resource, Status

HOME = "process"
"""The launcher of the hall's own machine, where its files are."""


class Window(Frozen):
    """A time in which a node is not used, such as for maintenance; before it begins, what runs there moves."""

    starts_at: float
    ends_at: float
    reason: str = Field(default="maintenance", max_length=200)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("a window ends after it starts")
        return self


class Node(Document):
    kind: Literal["node"] = "node"
    cordoned: bool = Field(default=False, description="Whether nothing new is started on it.")
    drained: bool = Field(default=False, description="Whether what runs on it moves elsewhere, too.")
    windows: tuple[Window, ...] = Field(default=(), description="Times in which it is drained.")


class Ending(Frozen):
    """How an attempt on a node ended, as far as that says something of the node."""

    at: float
    run: str
    """Path of the run."""
    cause: str
    """Whose fault it would be if not the node's: a resource, or all that one project runs by itself."""
    failed: bool
    lost: bool = False
    """Whether nobody saw it end, as when the whole machine goes."""


class NodeStatus(Status):
    """States: ready; cordoned, draining, drained (by people's word), quarantined (unfit, or blamed), lost."""

    launcher: str = HOME
    """The file in modelhall/adapters/launcher that starts programs on it."""
    cpus: float = Field(default=0.0)
    memory_bytes: int = 0
    processor: str = ""
    gpus: int = 0
    gpu_type: str = ""
    used_cpus: float = 0.0
    last_seen_at: float = 0.0
    endings: tuple[Ending, ...] = ()
    """The newest attempts that ended on it, oldest first."""
    blamed: str = ""
    """What is held against it until somebody has it used again; empty if nothing is."""
    trusted_at: float = 0.0
    """When somebody last had it used again: what ended before says nothing any more."""

    @property
    def is_heard(self) -> bool:
        """Whether it is there, used or not."""
        return self.state not in ("new", "lost")


NodeResource = Resource[Node, NodeStatus]
