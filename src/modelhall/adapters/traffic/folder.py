"""Reports as files of a folder, one a gateway: `GATEWAY.json`, replaced whole by each report.

They are not made durable: after a power cut gateways begin anew, and so does what they count. A gateway's last file
stays for a day after it, since what was counted in a long step of a canary still counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path

from pydantic import ValidationError

from modelhall.core.ports.traffic import Report

KEPT_S = 86_400.0

log = logging.getLogger(__name__)


class FolderTraffic:
    """Both ends of it: gateways write, the control plane reads."""

    def __init__(self, folder: Path, now: float) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._read: dict[Path, tuple[tuple[int, int], Report]] = {}
        """What was read of each file, and which state of it that was."""
        _sweep(folder, now - KEPT_S)

    async def tell(self, report: Report) -> None:
        await asyncio.to_thread(self._write, report)

    async def reports(self) -> list[Report]:
        return await asyncio.to_thread(self._read_all)

    def _write(self, report: Report) -> None:
        path = self._folder / f"{report.gateway}.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(report.model_dump_json(exclude_defaults=True))
        os.replace(temporary, path)

    def _read_all(self) -> list[Report]:
        found = {}
        for path in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(FileNotFoundError):
                seen = path.stat()
                state = (seen.st_mtime_ns, seen.st_ino)
                known = self._read.get(path)
                if known is not None and known[0] == state:
                    found[path] = known
                elif (report := _parsed(path)) is not None:
                    found[path] = (state, report)
        self._read = found
        return [report for _, report in found.values()]


def _parsed(path: Path) -> Report | None:
    try:
        return Report.model_validate_json(path.read_bytes())
    except ValidationError as error:
        log.error("traffic.unreadable file=%s reason=%s", path, error.errors()[0]["msg"])
        return None


def _sweep(folder: Path, before: float) -> None:
    """Remove what gateways left that are long gone."""
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
