"""A treasury in one SQLite file, which all gateways of a home and the control plane share: the default.

WAL with `synchronous=FULL`: what was drawn is on the disk before it may be used, so that no crash and no power cut
lets a budget be used twice. Each draw is one short transaction; gateways draw seldom (`policy/purse.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from modelhall.adapters._sqlite_copy import copy
from modelhall.adapters.treasury import _filling
from modelhall.core.errors import Broken, Full, NotNow, Rejected
from modelhall.core.ports.treasury import Portion, Pot

SCHEMA = 1
BUSY_S = 5.0
SETTLED = ""
"""The holder of what those have used who are no more."""

T = TypeVar("T")


def open_treasury(folder: Path) -> SqliteTreasury:
    """The treasury kept in `folder`; made when there is none."""
    return SqliteTreasury(folder / "treasury.db")


class SqliteTreasury:
    """The treasury port over the file at `path`. Raises Rejected when it is none or of a newer hall."""

    def __init__(self, path: Path) -> None:
        self._connection = _open(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="treasury")

    async def draw(self, holder: str, pot: Pot, want: int, now: float) -> Portion:
        return await self._do(lambda: _draw(self._connection, holder, pot, want, now))

    async def give_back(self, holder: str, pot: Pot, amount: int, now: float) -> None:
        await self._do(lambda: _move(self._connection, holder, pot, -amount, now))

    async def holders(self) -> list[str]:
        found = await self._do(
            lambda: self._connection.execute(
                "SELECT DISTINCT holder FROM drawn WHERE holder != ? ORDER BY holder", (SETTLED,)
            ).fetchall()
        )
        return [holder for (holder,) in found]

    async def settle(self, holder: str, used: Mapping[str, int]) -> None:
        await self._do(lambda: _settle(self._connection, holder, used))

    async def taken(self, pots: Collection[Pot], now: float) -> dict[str, int]:
        return await self._do(lambda: {pot.name: _taken(self._connection, pot, now) for pot in pots})

    async def copy_to(self, path: Path) -> None:
        """Write the whole treasury, as it is at one instant, to a new file; others may go on drawing meanwhile."""
        await self._do(lambda: copy(self._connection, path))

    async def close(self) -> None:
        await self._do(self._connection.close)
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise Full("the disk of the treasury is full; free some space", delay_s=5.0) from error
            raise NotNow(f"the treasury cannot be reached: {error}", delay_s=1.0) from error
        except sqlite3.DatabaseError as error:
            raise Broken(
                f"the treasury is damaged: {error}; move treasury.db away, and limits begin anew"
            ) from error


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        with _transaction(connection):
            _migrate(connection, path)
    except sqlite3.Error as error:
        raise Rejected(f"the treasury at {path} cannot be opened: {error}") from error
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA:
        raise Rejected(f"{path} has schema {found}, and this hall knows up to {SCHEMA}; use the newer hall")
    if found < SCHEMA:
        for statement in Path(__file__).with_name("sqlite.sql").read_text().split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA}")


def _draw(connection: sqlite3.Connection, holder: str, pot: Pot, want: int, now: float) -> Portion:
    with _transaction(connection):
        before = _taken(connection, pot, now)
        granted = max(0, min(want, pot.amount - before))
        if granted:  # a transaction that writes nothing does not wait for the disk either
            _put(connection, holder, pot, granted, before, now)
    return Portion(granted, max(0, pot.amount - before - granted))


def _move(connection: sqlite3.Connection, holder: str, pot: Pot, more: int, now: float) -> None:
    with _transaction(connection):
        _put(connection, holder, pot, more, _taken(connection, pot, now), now)


def _settle(connection: sqlite3.Connection, holder: str, used: Mapping[str, int]) -> None:
    with _transaction(connection):
        rows = connection.execute("SELECT pot, amount FROM drawn WHERE holder = ?", (holder,)).fetchall()
        for pot, amount in rows:
            _add(connection, pot, SETTLED, min(amount, used.get(pot, 0)))
        connection.execute("DELETE FROM drawn WHERE holder = ?", (holder,))


def _taken(connection: sqlite3.Connection, pot: Pot, now: float) -> int:
    if pot.period_s is None:
        (amount,) = connection.execute("SELECT sum(amount) FROM drawn WHERE pot = ?", (pot.name,)).fetchone()
        return amount or 0
    row = connection.execute("SELECT full_at FROM filling WHERE pot = ?", (pot.name,)).fetchone()
    if row is None:
        return 0
    if row[0] > now + pot.period_s:  # the clock was set back: a period from now on, and not from then
        connection.execute("UPDATE filling SET full_at = ? WHERE pot = ?", (now + pot.period_s, pot.name))
    return _filling.taken(pot, row[0], now)


def _put(connection: sqlite3.Connection, holder: str, pot: Pot, more: int, before: int, now: float) -> None:
    if pot.period_s is None:
        _add(connection, pot.name, holder, more)
        return
    full_at = _filling.full_at(pot, max(0, before + more), now)
    connection.execute("DELETE FROM filling WHERE full_at <= ?", (now,))
    if full_at > now:
        connection.execute("INSERT OR REPLACE INTO filling VALUES (?, ?)", (pot.name, full_at))


def _add(connection: sqlite3.Connection, pot: str, holder: str, more: int) -> None:
    connection.execute(
        "INSERT INTO drawn VALUES (:pot, :holder, max(0, :more)) "
        "ON CONFLICT DO UPDATE SET amount = max(0, amount + :more)",
        {"pot": pot, "holder": holder, "more": more},
    )


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:  # whatever ends it, no transaction is left open
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
