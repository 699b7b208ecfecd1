"""Reports in memory: for tests and for the twin."""

from __future__ import annotations

from modelhall.core.ports.traffic import Report


class MemoryTraffic:
    """Reports of gateways in the same process."""

    def __init__(self) -> None:
        self._reports: dict[str, Report] = {}

    async def tell(self, report: Report) -> None:
        self._reports[report.gateway] = report

    async def reports(self) -> list[Report]:
        return list(self._reports.values())
