"""Bugs that were once made, or nearly: planted into a life on purpose, to see that the judge finds them.

Each changes the process it is called in, which is one fork of a hall and soon dead.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from modelhall.adapters.launcher import process
from modelhall.adapters.launcher._folders import Folders
from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.adapters.store import sqlite
from modelhall.app import launching
from modelhall.control import declare
from modelhall.control.idempotency import Once, Written, unheard
from modelhall.core.failpoints import reach
from modelhall.core.kinds.run import Exit
from modelhall.core.ports.launcher import AttemptId, Observation
from modelhall.core.ports.store import Answer, Store, Write

LATE_S, GATHER_S = 0.1, 0.03


def acknowledge_before_commit() -> None:
    """A store that gathers commits a little longer, and says that they are done meanwhile."""

    class Late:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection
            self._lock = threading.RLock()

        def execute(self, sql: str, *values: Any) -> Any:
            with self._lock:
                if sql == "COMMIT":
                    threading.Timer(LATE_S, self._commit).start()
                    return None
                if sql == "BEGIN IMMEDIATE":
                    # Without it the next write would nearly always commit this one before a kill comes.
                    time.sleep(GATHER_S)
                    self._commit()
                return self._connection.execute(sql, *values)

        def _commit(self) -> None:
            with self._lock:
                if self._connection.in_transaction:
                    self._connection.execute("COMMIT")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

    class Writing(sqlite._Writing):
        def __init__(self, connection: sqlite3.Connection, removals_kept: int) -> None:
            super().__init__(Late(connection), removals_kept)  # type: ignore[arg-type]

    sqlite._Writing = Writing  # type: ignore[misc]


def keep_answers_apart() -> None:
    """Idempotency whose answer is a commit of its own, after the one that did what it tells of."""

    async def commit_once(
        store: Store,
        plan: Callable[[], Awaitable[tuple[Sequence[Write], Any]]],
        *,
        once: Once | None,
        answers: TypeAdapter[Any],
        now: float,
        written: Written = unheard,
    ) -> Any:
        if once is not None and (found := await store.answer(once.key)) is not None:
            return answers.validate_json(found.body)
        writes, said = await plan()
        stored = await store.commit(writes)
        reach("once.committed")
        if once is not None:
            body = answers.dump_json(said).decode()
            await store.commit([Answer(at=now, once=once.key, request=once.request, body=body)])
        written(stored)
        return said

    declare.commit_once = commit_once


def forget_attempts() -> None:
    """A launcher that does not find what the hall before it has started."""

    class Forgetful(Folders):
        def of(self, id: AttemptId) -> Path:
            return self.runs / id.run_uid / f"life-{os.getpid()}" / str(id.number)

        def begin(self, launch: Any, *args: Any, **fields: Any) -> bool:
            self.of(launch.id).parent.mkdir(parents=True, exist_ok=True)
            return super().begin(launch, *args, **fields)

    process.Folders = Forgetful  # type: ignore[misc,attr-defined]


def give_up_attempts() -> None:
    """A launcher that takes whatever an earlier hall has started for dead, and leaves it running."""
    known: set[AttemptId] = set()

    class Pessimist(ProcessLauncher):
        def _start(self, launch: Any) -> None:
            known.add(launch.id)
            super()._start(launch)

        def _observe(self, id: AttemptId) -> Observation:
            seen = super()._observe(id)
            if id in known or not seen.alive:
                return seen
            return Observation(alive=False, exit=Exit(ended_at=time.time()))

    launching.ProcessLauncher = Pessimist  # type: ignore[misc]


BUGS = {
    bug.__name__: bug
    for bug in (acknowledge_before_commit, keep_answers_apart, forget_attempts, give_up_attempts)
}
