"""Which runs are to be looked at for the ledger: those that are alive, and those that ended and are not paid for.

Finished runs stay for ever, so they are not gone through: the store's changes tell of new ones, and a mark in the
book says until which revision all that had ended was paid.
"""

from __future__ import annotations

from collections.abc import Callable

from modelhall.core.errors import Gone
from modelhall.core.kinds import AnyResource, Key, rests
from modelhall.core.kinds.run import RunResource
from modelhall.core.ports.book import Book
from modelhall.core.ports.launcher import AttemptId
from modelhall.core.ports.store import Store

MARK = "followed/runs"


class Following:
    """The runs of `store` that `book` is not done with."""

    def __init__(self, store: Store, book: Book) -> None:
        self._store = store
        self._book = book
        self._runs: dict[Key, RunResource] = {}
        self._read_to: int | None = None

    async def runs(self) -> list[RunResource]:
        """Those that are alive, or ended and are not paid for."""
        if self._read_to is None:
            await self._begin()
        try:
            await self._follow()
        except Gone:
            await self._read_all()
        return list(self._runs.values())

    async def paid(self, is_paid: Callable[[AttemptId], bool]) -> None:
        """Let go of the runs that are over and paid for, and remember how far that has come."""
        unpaid: list[Key] = []
        done: list[Key] = []
        for key, run in self._runs.items():
            if rests(run):
                paid = all(is_paid(AttemptId(run.uid, attempt.number)) for attempt in run.status.attempts)
                (done if paid else unpaid).append(key)
        assert self._read_to is not None
        if done:
            mark = min([self._read_to, *(self._runs[key].revision - 1 for key in unpaid)])
            await self._book.append(marks={MARK: float(mark)})
        for key in done:
            del self._runs[key]

    async def _begin(self) -> None:
        mark = (await self._book.marks([MARK])).get(MARK)
        if mark is None:
            await self._read_all()
            return
        alive = await self._store.find("run", resting=False)
        self._runs, self._read_to = {run.key: run for run in alive}, int(mark)

    async def _read_all(self) -> None:
        revision = await self._store.revision()
        found = await self._store.find("run")
        self._runs, self._read_to = {run.key: run for run in found}, revision

    async def _follow(self) -> None:
        assert self._read_to is not None
        while changes := await self._store.changes(self._read_to):
            for change in changes:
                if change.key.kind == "run":
                    self._take(change.key, change.resource)
            self._read_to = changes[-1].revision

    def _take(self, key: Key, run: AnyResource | None) -> None:
        # One that is gone is known to the keeper as it was seen last.
        self._runs.pop(key, None)
        if run is not None:
            self._runs[key] = run
