"""A book in memory: for the twin and for tests. Nothing outlives the process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import fsum
from pathlib import Path

from modelhall.core.kinds import Key
from modelhall.core.ports.book import By, Entry, Total, Usage

_DIMENSIONS: Mapping[By, Callable[[Entry], str | None]] = {
    "project": lambda entry: entry.project,
    "service": lambda entry: entry.service,
    "model": lambda entry: entry.model,
    "run": lambda entry: entry.run,
    "user": lambda entry: entry.user,
    "node": lambda entry: entry.credit if entry.credit.startswith("node/") else None,
    "use": lambda entry: entry.debit.partition("/")[0],
}


def open_book(folder: Path) -> MemoryBook:
    """A new, empty book; `folder` is not touched."""
    return MemoryBook()


class MemoryBook:
    """The book port over dictionaries. Its methods never wait, so a virtual clock can drive it."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._usage: dict[str, Usage] = {}
        self._settled: set[str] = set()
        self._unsettled: dict[str, Usage] = {}
        self._marks: dict[str, float] = {}

    async def append(
        self,
        *,
        usage: Sequence[Usage] = (),
        entries: Sequence[Entry] = (),
        marks: Mapping[str, float] | None = None,
    ) -> None:
        for seen in usage:
            if self._usage.setdefault(seen.request, seen) is seen and seen.request not in self._settled:
                self._unsettled[seen.request] = seen
        for entry in entries:
            if self._entries.setdefault(entry.id, entry) is entry and entry.debit.startswith("request/"):
                request = entry.debit.removeprefix("request/")
                self._settled.add(request)
                self._unsettled.pop(request, None)
        self._marks.update(marks or {})

    async def marks(self, names: Collection[str]) -> dict[str, float]:
        return {name: self._marks[name] for name in names if name in self._marks}

    async def unsettled(
        self, *, replica: Key | None = None, after: float = 0.0, until: float, limit: int
    ) -> list[Usage]:
        found = [
            usage
            for usage in self._unsettled.values()
            if after < usage.ended_at <= until
            and (replica is None or (usage.project, usage.replica) == (replica.project, replica.name))
        ]
        return sorted(found, key=lambda usage: (usage.ended_at, usage.request))[:limit]

    async def usage(self, request: str) -> Usage | None:
        return self._usage.get(request)

    async def entries(self, debit: str) -> list[Entry]:
        found = [entry for entry in self._entries.values() if entry.debit == debit]
        return sorted(found, key=lambda entry: (entry.at, entry.id))

    async def totals(
        self,
        by: By,
        *,
        only: Mapping[By, Collection[str]] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> list[Total]:
        groups: dict[str, list[Entry]] = {}
        for entry in self._entries.values():
            name = _DIMENSIONS[by](entry)
            chosen = all(_DIMENSIONS[dimension](entry) in names for dimension, names in (only or {}).items())
            in_time = (since is None or since <= entry.at) and (until is None or entry.at < until)
            if name is not None and chosen and in_time:
                groups.setdefault(name, []).append(entry)
        return [_total(name, groups[name]) for name in sorted(groups)]

    async def close(self) -> None:
        pass


def _total(name: str, entries: Sequence[Entry]) -> Total:
    charged = [entry.measured for entry in entries if entry.energy_j > 0]
    return Total(
        name=name,
        requests=sum(entry.debit.startswith("request/") for entry in entries),
        cpu_s=fsum(entry.cpu_s for entry in entries),
        gpu_s=fsum(entry.gpu_s for entry in entries),
        energy_j=fsum(entry.energy_j for entry in entries),
        co2_g=fsum(entry.co2_g for entry in entries),
        cost_nano=sum(entry.cost_nano for entry in entries),
        measured=bool(charged) and all(charged),
        energy_sources=tuple(sorted({entry.energy_source for entry in entries} - {""})),
    )
