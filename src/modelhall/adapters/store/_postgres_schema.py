"""The schema of a PostgreSQL store: which one is there, and the way to the newest."""

from __future__ import annotations

from modelhall.adapters.store import _sql
from modelhall.adapters.store._postgres_server import RETRY_S, SQL, Connection, Server
from modelhall.core.errors import NotNow

LOCK = int.from_bytes(b"modelhal")
"""Locks are numbers that all users of a database share."""
MIGRATION_S = 3600.0


async def check_schema(server: Server, connection: Connection) -> None:
    """Raise unless the schema is the one this hall knows: it may have been changed while we were away."""
    with server.erring(), server.in_time(connection):
        missing = _sql.missing("postgres", await schema(connection))
    if missing:
        raise NotNow(
            f"the store's schema is {len(missing)} behind; a hall that writes there brings it forward when it starts",
            delay_s=RETRY_S,
        )


async def schema(connection: Connection) -> int:
    """The number of the schema that is there; 0 before the first."""
    is_there = await (await connection.execute(SQL["find schema"])).fetchone()
    if is_there != (True,):
        return 0
    row = await (await connection.execute(SQL["schema"])).fetchone()
    return int(row[0]) if row else 0


async def migrate(server: Server) -> None:
    """Lead the schema to the newest, all of it or none; a second one who comes at the same time waits."""
    async with await server.connect(writable=True) as connection:
        with server.erring(), server.in_time(connection, MIGRATION_S):
            async with connection.transaction():
                await connection.execute(SQL["lock schema"], {"lock": LOCK})
                await connection.execute(SQL["for as long as it takes"])
                found = await schema(connection)
                missing = _sql.missing("postgres", found)
                if missing and not found:
                    await connection.execute(SQL["make schema"])
                for script in missing:
                    await connection.execute(script)
                if missing:
                    await connection.execute(SQL["set schema"], {"version": found + len(missing)})
