"""How a group of commits is written to PostgreSQL: one transaction, two round trips.

The first locks the counter and looks up all that the commits rest on, the second writes what the judge let
through. From the lock to the end of the transaction nobody else writes, so what was looked up stays true.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import AsyncCursor

from modelhall.adapters.store import _sql
from modelhall.adapters.store._judge import Effects, Facts, Judge, Row, Stored, Wanted, encoded, wanted
from modelhall.adapters.store._postgres_server import SQL, Connection
from modelhall.core.errors import HallError
from modelhall.core.failpoints import reach
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.ports.store import Event, Lease, Write

EVENTS_KEPT = 50_000
ANSWERS_KEPT = 50_000

Found = AsyncCursor[tuple[Any, ...]] | None


class Writing:
    """What a writer knows from one group to the next."""

    def __init__(self, removals_kept: int) -> None:
        self._removals_kept = removals_kept
        # Old ones are forgotten many at a time, and first by whoever comes first.
        self._new_events = EVENTS_KEPT
        self._new_answers = ANSWERS_KEPT

    async def write(
        self, connection: Connection, commits: Sequence[Sequence[Write]]
    ) -> list[list[AnyResource] | HallError]:
        """Do those of `commits` that may be done; an answer for each."""
        judge = Judge(await _facts(connection, wanted(commits)), encoded)
        answers = [judge.judge(writes) for writes in commits]
        async with connection.pipeline():
            await self._store(connection, judge.effects, judge.revision)
            reach("store.written")
            # Breaking off the wait for a standby would not undo the commit, but pass it off as replicated.
            await connection.execute(SQL["for as long as it takes"])
            await connection.execute(SQL["commit"])
        reach("store.committed")
        return answers

    async def skip_to(self, connection: Connection, revision: int) -> None:
        async with connection.transaction():
            await connection.execute(SQL["lock counter"])
            for name in ("revision", "compacted"):
                await connection.execute(SQL["raise counter"], {"name": name, "value": revision})
            await connection.execute(SQL["notify"])

    async def _store(self, connection: Connection, effects: Effects[str], revision: int) -> None:
        execute = connection.execute
        if effects.rows:
            await execute(SQL["put"], _rows(map(_values, effects.rows.values())))
            await execute(SQL["raise counter"], {"name": "revision", "value": revision})
            await execute(SQL["notify"])
        if effects.events:
            await execute(SQL["put events"], _rows(map(_event, effects.events)))
            self._new_events += len(effects.events)
        if effects.answers:
            await execute(SQL["put answers"], _rows(vars(answer) for answer in effects.answers))
            self._new_answers += len(effects.answers)
        if effects.lease is not None:
            await execute(SQL["put lease"], effects.lease._asdict())
        await self._forget(connection, has_removals=any(row.body is None for row in effects.rows.values()))

    async def _forget(self, connection: Connection, *, has_removals: bool) -> None:
        if has_removals:
            await connection.execute(SQL["forget removals"], {"kept": self._removals_kept})
        if self._new_events > EVENTS_KEPT // 50:
            await connection.execute(SQL["forget events"], {"kept": EVENTS_KEPT})
            self._new_events = 0
        if self._new_answers > ANSWERS_KEPT // 50:
            await connection.execute(SQL["forget answers"], {"kept": ANSWERS_KEPT})
            self._new_answers = 0


async def _facts(connection: Connection, asked: Wanted) -> Facts:
    async def find(name: str, rows: Iterable[Any]) -> Found:
        values = _rows(rows)
        return await connection.execute(SQL[name], values) if values["rows"] != "[]" else None

    async with connection.pipeline():
        await connection.execute(SQL["begin"])
        counter = await connection.execute(SQL["lock counter"])
        resources = await find("look", (key._asdict() for key in asked.keys))
        owned = await find("count owned", asked.owners)
        answered = await find("answered", asked.once)
        lease = await connection.execute(SQL["lease"]) if asked.lease else None
    ((revision,),) = await counter.fetchall()
    leases = await _all(lease)
    return Facts(
        revision=revision,
        resources={Key(*row[:3]): Stored(*row[3:]) for row in await _all(resources)},
        owned=dict(await _all(owned)),
        answered={once for (once,) in await _all(answered)},
        lease=Lease(*leases[0]) if leases else None,
    )


async def _all(found: Found) -> list[tuple[Any, ...]]:
    return await found.fetchall() if found is not None else []


def _rows(rows: Iterable[Any]) -> dict[str, str]:
    return {"rows": json.dumps(list(rows), ensure_ascii=False)}


def _values(row: Row[str]) -> Mapping[str, Any]:
    return {
        **row.key._asdict(),
        **row._asdict(),
        "labels": without_nul(row.labels),
        "names": _sql.paths(row.names),
    }


def _event(event: Event) -> Mapping[str, Any]:
    return {**event.key._asdict(), "at": event.at, "event": event.name, "message": _text(event.message)}


def without_nul(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels as they can be kept beside the body to find it by."""
    return {_text(name): _text(value) for name, value in labels.items()}


def _text(words: str) -> str:
    return words.replace("\0", "\N{REPLACEMENT CHARACTER}")
