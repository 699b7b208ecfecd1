"""Stores to test: of every kind there is, and a PostgreSQL server for those that need one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import real_postgres
import real_slurm
import real_web
from real_postgres import RealPostgres
from real_slurm import RealSlurm
from real_web import RealWeb
from store_facts import KINDS_OF_STORE, Durable, Play, Story, durable, opened

Server = TypeVar("Server")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], RealPostgres]]:
    yield from _when_asked_for(real_postgres.running)


@pytest.fixture(scope="session")
def slurm() -> Iterator[Callable[[], RealSlurm]]:
    """Whoever is done with the cluster clears it."""
    yield from _when_asked_for(real_slurm.running)


def _when_asked_for(running: Callable[[], AbstractContextManager[Server]]) -> Iterator[Callable[[], Server]]:
    """A server that is started when it is first asked for; the test is skipped when there cannot be one."""
    found: list[Server | LookupError] = []
    with contextlib.ExitStack() as until_the_end:

        def ask() -> Server:
            if not found:
                try:
                    found.append(until_the_end.enter_context(running()))
                except LookupError as error:
                    found.append(error)
            if isinstance(found[0], LookupError):
                pytest.skip(str(found[0]))
            return found[0]

        yield ask


@pytest.fixture(params=KINDS_OF_STORE)
def play(request: pytest.FixtureRequest, tmp_path: Path, postgres: Callable[[], RealPostgres]) -> Play:
    async def go(story: Story, options: dict[str, Any]) -> None:
        store = opened(request.param, tmp_path, postgres, **options)
        await story(store)
        await store.close()

    return lambda story, **options: asyncio.run(asyncio.wait_for(go(story, options), 60))


@pytest.fixture(params=["sqlite", "postgres"])
def hall(request: pytest.FixtureRequest, tmp_path: Path, postgres: Callable[[], RealPostgres]) -> Durable:
    """Where a durable store is, which nobody has opened yet."""
    return durable(request.param, tmp_path, postgres)


@pytest.fixture
def web() -> Iterator[RealWeb]:
    """A web server that has nothing yet."""
    with real_web.running() as running:
        yield running


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Callable[[], str]]:
    """The URL of a server that speaks S3, started when it is first asked for."""
    found: list[str | LookupError] = []
    with contextlib.ExitStack() as until_the_end:

        def ask() -> str:
            if not found:
                pytest.importorskip("obstore")
                import real_seaweed  # it needs the library it tests

                try:
                    found.append(until_the_end.enter_context(real_seaweed.running()))
                except LookupError as error:
                    found.append(error)
            if isinstance(found[0], LookupError):
                pytest.skip(str(found[0]))
            return found[0]

        yield ask
