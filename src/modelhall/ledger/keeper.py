"""Keeps the book up to date: called every few seconds and before a bill is shown.

Killed anywhere, it goes on where the book's marks say: entries and marks are written in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelhall.core.failpoints import reach
from modelhall.core.ports.book import Book, Entry, Usage
from modelhall.core.ports.launcher import AttemptId
from modelhall.core.ports.meter import Meter
from modelhall.ledger.journal import ingest
from modelhall.ledger.node import Account, NodeReading, SharedOut
from modelhall.ledger.rates import Prices
from modelhall.ledger.reading import Reading
from modelhall.ledger.settle import Settled, settle, write_off

CLOSE_EVERY_S = 60.0
"""How often what is not a request's is entered; more often would fill the book with small entries."""
LATE_S = 5.0
"""Requests are heard of at most this long after they ended; only then is an ended replica closed."""
WRITE_OFF_AFTER_S = 600.0
"""Requests are given up when no reading has covered them for so long, such as when their run was deleted."""
PAGE = 5000
"""Requests settled in one transaction, at most, of each replica."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What one call of `settle` did."""

    requests: int
    damaged: int
    """Journal lines that could not be read and were skipped."""
    entries: int


class Keeper:
    """Turns readings and usage journals into entries of `book`. One a book."""

    def __init__(
        self,
        *,
        book: Book,
        journals: Path,
        meter: Meter,
        prices: Prices,
        heard: Callable[[Sequence[Usage]], None] = lambda usage: None,
    ) -> None:
        """`heard` is told of requests as they are entered."""
        self._book = book
        self._journals = journals
        self._meter = SharedOut(meter)
        self._prices = prices
        self._heard = heard
        self._turn = asyncio.Lock()
        self._since: float | None = None
        self._open: dict[AttemptId, Reading] = {}
        self._closed: dict[AttemptId, Reading] = {}
        """Attempts that are over and paid for, as they were read when they were."""

    async def settle(
        self,
        readings: Sequence[Reading],
        now: float,
        *,
        nodes: Sequence[NodeReading] = (),
        fully: bool = False,
    ) -> Kept:
        """Enter what was used since the last time. `readings` are those of all attempts there are; one that
        is no longer among them is taken to have ended as it was last seen. `nodes` are those that are watched: what
        they have drawn and nobody is charged for is entered, too.

        `fully` also enters what would wait for more to come, so that a bill shows all use until now.
        """
        watched = {node.node: node for node in nodes if node.is_credible}
        async with self._turn:
            read = await ingest(self._journals, self._book, self._heard)
            reach("ledger.read")
            for node in watched.values():
                self._meter.see(node)
            # What nobody is charged for is known only when everybody has been charged.
            fully = fully or await self._is_node_due(watched)
            due, entries = self._due(readings), 0
            while due:
                written, due = await self._settle_page(due, now, watched, fully=fully)
                entries += written
            entries += await self._settle_nodes(watched, fully=fully)
            entries += await self._write_off(now)
            return Kept(requests=read.requests, damaged=read.damaged, entries=entries)

    def is_paid(self, id: AttemptId) -> bool:
        """Whether nothing more is to be entered for an attempt whose end has been read."""
        return id not in self._open

    def _due(self, readings: Sequence[Reading]) -> list[Reading]:
        """The readings of attempts that are not paid for in full."""
        given = {reading.id: reading for reading in readings if reading.is_credible}
        gone = {id: replace(last, ended=True) for id, last in self._open.items() if id not in given}
        self._closed = {id: last for id, last in self._closed.items() if given.get(id) == last}
        self._open = {**gone, **{id: reading for id, reading in given.items() if id not in self._closed}}
        return list(self._open.values())

    async def _settle_page(
        self, due: Sequence[Reading], now: float, watched: Collection[str], *, fully: bool
    ) -> tuple[int, list[Reading]]:
        """Settle each attempt with its oldest requests; return the number of entries made, and the attempts
        that have more requests."""
        known = await self._book.marks([name for reading in due for name in _mark_names(reading)])
        entries: list[Entry] = []
        marks: dict[str, float] = {}
        closed, unfinished = [], []
        for reading in due:
            settled = _settled(reading, known)
            usage = await self._requests(reading)
            is_full = len(usage) == PAGE
            close = not is_full and _is_to_close(reading, settled, now, fully=fully)
            done = settle(reading, settled, usage, close=close, meter=self._meter, prices=self._prices)
            entries += done.entries
            if done.settled != settled:
                marks |= zip(_mark_names(reading), done.settled, strict=True)
            if is_full:
                unfinished.append(reading)
            elif close and reading.ended:
                closed.append(reading)
        for node, account in (await self._accounts(watched)).items():
            if (charged := account.charged(node, entries)) != account:
                marks |= charged.marks(node)
        if entries or marks:
            await self._book.append(entries=entries, marks=marks)
            reach("ledger.entered")
        for reading in closed:
            self._closed[reading.id] = self._open.pop(reading.id)
        return len(entries), unfinished

    async def _requests(self, reading: Reading) -> list[Usage]:
        """The oldest unsettled requests this attempt answered until it was read."""
        if reading.service is None:
            return []
        return await self._book.unsettled(
            replica=reading.key, after=reading.started_at, until=reading.at, limit=PAGE
        )

    async def _is_node_due(self, watched: Mapping[str, NodeReading]) -> bool:
        accounts = await self._accounts(watched)
        return any(account.is_due(watched[node]) for node, account in accounts.items())

    async def _settle_nodes(self, watched: Mapping[str, NodeReading], *, fully: bool) -> int:
        """Take in what the nodes have drawn and, if all others have been charged, enter what is left of it."""
        entries: list[Entry] = []
        marks: dict[str, float] = {}
        for node, account in (await self._accounts(watched)).items():
            account = account.drawn(watched[node])
            if fully:
                account, rest = account.entered(watched[node], self._prices)
                entries += rest
            marks |= account.marks(node)
        if marks:
            await self._book.append(entries=entries, marks=marks)
            reach("ledger.nodes-entered")
        return len(entries)

    async def _accounts(self, nodes: Collection[str]) -> dict[str, Account]:
        if not nodes:
            return {}
        marks = await self._book.marks([name for node in nodes for name in Account.named(node)])
        return {node: Account.of(node, marks) for node in nodes}

    async def _write_off(self, now: float) -> int:
        """Settle at no cost the requests no attempt can be found for; return how many."""
        # After a start every replica gets the time to be found again.
        self._since = now if self._since is None else self._since
        if now - self._since < WRITE_OFF_AFTER_S:
            return 0
        lost = await self._book.unsettled(until=now - WRITE_OFF_AFTER_S, limit=PAGE)
        if lost:
            await self._book.append(entries=[write_off(usage) for usage in lost])
        return len(lost)


def _mark_names(reading: Reading) -> tuple[str, str]:
    name = f"settled/{reading.uid}/{reading.attempt}"
    return f"{name}/cpu_s", f"{name}/until"


def _settled(reading: Reading, marks: Mapping[str, float]) -> Settled:
    cpu_s, until = _mark_names(reading)
    return Settled(marks.get(cpu_s, 0.0), marks.get(until, reading.started_at))


def _is_to_close(reading: Reading, settled: Settled, now: float, *, fully: bool) -> bool:
    """Whether what no request claims is entered now."""
    if fully or reading.at - settled.until >= CLOSE_EVERY_S:
        return True
    return reading.ended and (reading.service is None or now - reading.at >= LATE_S)
