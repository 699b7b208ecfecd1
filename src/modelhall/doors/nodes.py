"""The client's part for nodes: `Hall().nodes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelhall.doors.wire import Wire


class Nodes:
    """The machines of the hall that is asked, by an operator. Methods raise the errors of `modelhall.core.errors`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def invite(self, *, labels: Mapping[str, str] | None = None, lasts_s: float = 900.0) -> str:
        """What one machine can join with, once; its node has these labels."""
        asked = {"labels": dict(labels or {}), "lasts_s": lasts_s}
        return str(self._wire.ask("POST", "/api/v1/nodes/invite", json=asked).json()["secret"])

    def cordon(self, name: str, *, cordoned: bool = True) -> None:
        """Have nothing new be started on a node, or again."""
        self._tell(name, cordoned=cordoned)

    def drain(self, name: str, *, drained: bool = True) -> None:
        """Have all that runs on a node move elsewhere, and nothing be started there; or have it be used again."""
        self._tell(name, drained=drained)

    def label(self, name: str, labels: Mapping[str, str]) -> None:
        """Have a node have these labels, and no others."""
        self._tell(name, labels=dict(labels))

    def maintain(self, name: str, windows: Sequence[Mapping[str, Any]]) -> None:
        """Have a node be empty in these times, and no others: `starts_at`, `ends_at`, `reason`."""
        self._tell(name, windows=[dict(window) for window in windows])

    def remove(self, name: str) -> None:
        """Have a node be no more; its agent is nobody from then on."""
        self._wire.ask("POST", f"/api/v1/nodes/{name}/remove")

    def _tell(self, name: str, **wishes: Any) -> None:
        self._wire.ask("PATCH", f"/api/v1/nodes/{name}", json=wishes)
