"""The client's part for the audit log: `Hall().audit`."""

from __future__ import annotations

from typing import Any

from modelhall.doors.wire import Wire


class AuditLog:
    """What was done, in the hall that is asked. Methods raise the errors of `modelhall.core.errors`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def page(
        self,
        *,
        who: str | None = None,
        project: str | None = None,
        since: float | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> dict[str, Any]:
        """The newest entries; `next` is what to give as `before` for older ones."""
        asked = {"who": who, "project": project, "since": since, "limit": limit, "before": before}
        given = {word: value for word, value in asked.items() if value is not None}
        return dict(self._wire.ask("GET", "/api/v1/audit", params=given).json())

    def head(self) -> dict[str, Any]:
        """A signed head of the log, to be kept elsewhere."""
        return dict(self._wire.ask("GET", "/api/v1/audit/head").json())
