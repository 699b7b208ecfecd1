"""What no node has room for, however idle: refused when it is declared, with the largest there is."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.control.queue import room_of, size_of
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Dataset, Document, Model, Resources
from modelhall.core.kinds.node import HOME, NodeResource
from modelhall.policy import deciding
from modelhall.policy.schedule import Asking, Facts, Hold


def may_be_large(document: Document) -> bool:
    """Whether it asks for more than every machine has, so that it is worth reading which machines there are."""
    asked = getattr(document, "resources", None)
    if not isinstance(asked, Resources):
        return False
    return asked.cpus > 1 or asked.workers.max > 1 or bool(asked.memory_bytes or asked.gpus or asked.nodes)


def check(document: Document, nodes: Sequence[NodeResource]) -> None:
    """Raise Rejected for what asks for more than any of the nodes has that there are, in use or not. As long as there
    is none, anything may be asked for."""
    rooms = [room_of(node) for node in nodes if node.status.cpus]
    if not rooms or not may_be_large(document):
        return
    home = frozenset(node.key.name for node in nodes if node.status.launcher == HOME)
    asking = Asking(
        name=document.name,
        project=document.project,
        **size_of(document.resources),  # type: ignore[attr-defined] # it may be large
        only_on=home if isinstance(document, Dataset) else None,
        spans=isinstance(document, Model),
        serves=False,
        priority=0,
        since=0.0,
    )
    match deciding.named("fifo")(Facts(now=0.0, queue=[asking], nodes=rooms)):
        case [Hold(reason=reason, never=True)]:
            raise Rejected(
                f"{reason}; ask for less, or have such a node join first (`hall node join`)",
                field="resources",
            )
