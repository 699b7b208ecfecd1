"""Where the ledger's entries are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from modelhall.core.kinds import Key

By = Literal["project", "service", "model", "run", "user", "node", "use"]
"""What entries are summed by. `use` is the first word of the debit: `run`, `request`, `standby` or `idle`."""
NOBODY = "(nobody)"
"""In place of the project in an entry for what a node draws and no project used; no project is called so."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One movement: what `credit` (a node) gave and `debit` (a run, a request, an idle replica) took.

    Entries are never changed. Money in billionths of the currency unit, rounded once, when the entry is made.
    """

    id: str
    """Names the use this pays for; an id that is already in the book is not entered again."""
    at: float
    project: str
    debit: str
    """Path of what used it: `run/default/NAME`, `request/ID`, `standby/default/RUN`, `idle/default/NODE`."""
    credit: str
    """Path of what gave it: `node/default/NAME`."""
    run: str | None = None
    """Path of the run that did the work: for a request and for standby, the replica."""
    service: str | None = None
    """Path of the service it was done for."""
    model: str | None = None
    """Path of the model it was done for."""
    user: str | None = None
    """Who asked, for a request."""
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    """GPUs held, times seconds."""
    energy_j: float = 0.0
    """At the machine; what the building adds (PUE) is in the carbon and the money."""
    energy_source: str = ""
    measured: bool = False
    co2_g: float = 0.0
    cost_nano: int = 0


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One request as the gateway saw it."""

    request: str
    at: float
    """When it came in, in seconds since the epoch."""
    project: str
    service: str
    version: str
    replica: str
    """Name of the run that answered; empty when none did."""
    status: int
    tries: int
    duration_s: float
    weight: float
    """The replica's own account of the work: seconds of compute; requests share a replica's energy by it.
    0 when the replica gave none."""
    bytes_in: int = 0
    bytes_out: int = 0
    tokens_in: int | None = None
    """Of requests for texts; those that were read and told up to where a stream was cut."""
    tokens_out: int | None = None
    first_token_s: float | None = None
    tokens_cached: int | None = None
    """Of those read, as many as the replica had read before."""
    from_cache: bool = False
    """Whether the answer was kept from an earlier request."""
    charge_nano: int = 0
    """What the caller's project is charged for it, in billionths of the currency."""
    user: str = ""
    """Who asked, by the name of the token or the person."""
    adapter: str = ""
    """Which of the service's adapters was asked, whose version it then is; empty: the service's own model."""

    @property
    def ended_at(self) -> float:
        return self.at + self.duration_s


UsageLine = dict[str, str | int | float | bool | None]
"""A `Usage` as it is written down, its fields by name: one is made on the path of each request, where the object
would take twice as long."""


class Unwritten(OSError):
    """Of several lines that were to be written down, the last were not."""

    def __init__(self, lines: Sequence[UsageLine], reason: str) -> None:
        super().__init__(reason)
        self.lines = lines
        """Those that are lost."""


@dataclass(frozen=True, kw_only=True)
class Total:
    """Sums over entries."""

    name: str
    requests: int = 0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    energy_j: float = 0.0
    co2_g: float = 0.0
    cost_nano: int = 0
    measured: bool = False
    """Whether every joule of it was measured."""
    energy_sources: tuple[str, ...] = ()
    """Where the joules come from, sorted."""


class Book(Protocol):
    """An append-only, transactional book of entries and the usage they were made from.

    Methods raise NotNow when the book cannot be reached in time.
    """

    async def append(
        self,
        *,
        usage: Sequence[Usage] = (),
        entries: Sequence[Entry] = (),
        marks: Mapping[str, float] | None = None,
    ) -> None:
        """Write all of it in one durable transaction. Ids already there are passed over. `marks` are named
        numbers replaced in the same transaction, such as how far a journal has been read."""
        ...

    async def marks(self, names: Collection[str]) -> dict[str, float]:
        """Those of the named marks that have been set."""
        ...

    async def unsettled(
        self, *, replica: Key | None = None, after: float = 0.0, until: float, limit: int
    ) -> list[Usage]:
        """The oldest `limit` requests without an entry that ended later than `after` and not later than
        `until`; of one replica, if the key of its run is given."""
        ...

    async def usage(self, request: str) -> Usage | None: ...

    async def entries(self, debit: str) -> list[Entry]:
        """The entries that charge `debit`, oldest first."""
        ...

    async def totals(
        self,
        by: By,
        *,
        only: Mapping[By, Collection[str]] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> list[Total]:
        """Sums by one dimension, ordered by name; with `only`, over the entries that have one of the names
        given in each dimension given; of those from `since` on and before `until`. Entries without the dimension, as
        a training run has no service, are left out."""
        ...

    async def close(self) -> None: ...
