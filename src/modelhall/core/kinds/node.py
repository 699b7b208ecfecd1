"""`node`: a machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelhall.core.kinds.base import Document, Resource, Status


class Node(Document):
    kind: Literal["node"] = "node"


class NodeStatus(Status):
    """States: ready, lost."""

    cpus: float = Field(default=0.0)
    memory_bytes: int = 0
    processor: str = ""
    gpus: int = 0
    gpu_type: str = ""
    used_cpus: float = 0.0
    last_seen_at: float = 0.0


NodeResource = Resource[Node, NodeStatus]
