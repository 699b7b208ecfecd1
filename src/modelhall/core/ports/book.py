"""Where the ledger's entries are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One movement: what `credit` (a node) gave and `debit` (a run, a request, an idle replica) took.

    Entries are never changed. Money in billionths of the currency unit, rounded once, here.
    """

    id: str
    """Names the use this pays for; an id that is already in the book is not entered again."""
    at: float
    project: str
    debit: str
    """Path of what used it: `run/default/NAME`, `request/ID`, `standby/default/RUN`."""
    credit: str
    """Path of what gave it: `node/default/NAME`."""
    service: str | None = None
    cpu_s: float = 0.0
    energy_j: float = 0.0
    energy_source: str = ""
    measured: bool = False
    co2_g: float = 0.0
    cost_nano: int = 0


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One request as the gateway saw it."""

    request: str
    at: float
    project: str
    service: str
    version: str
    replica: str
    """Name of the run that answered."""
    status: int
    tries: int
    duration_s: float
    weight: float
    """The replica's own account of the work: seconds of compute; requests share a replica's energy by it."""
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Total:
    """Sums over entries."""

    name: str
    requests: int = 0
    cpu_s: float = 0.0
    energy_j: float = 0.0
    co2_g: float = 0.0
    cost_nano: int = 0
    measured: bool = False
    energy_sources: tuple[str, ...] = field(default_factory=tuple)


class Book(Protocol):
    """An append-only, transactional book of entries and the usage they were made from."""

    async def append(
        self, *, usage: Sequence[Usage] = (), entries: Sequence[Entry] = (), marks: dict[str, float] | None = None
    ) -> None:
        """Write all of it in one durable transaction. Ids already there are passed over. `marks` are named
        numbers replaced in the same transaction, such as how far a journal has been read."""
        ...

    async def mark(self, name: str) -> float | None: ...

    async def unsettled(self) -> list[Usage]:
        """Usage without an entry yet, oldest first."""
        ...

    async def usage(self, request: str) -> Usage | None: ...

    async def entries(self, debit: str) -> list[Entry]:
        """The entries that charge `debit`."""
        ...

    async def totals(self, by: str, *, project: str | None = None) -> list[Total]:
        """Sums by `service`, `run`, `node` or `project`."""
        ...

    async def close(self) -> None: ...
