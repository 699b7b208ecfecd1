"""Streams that are open while rights change: from then on nothing more is told, not even what is read with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from fastapi import FastAPI

from modelhall.app.hall import Hall
from modelhall.core.access import Identity
from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import Key
from modelhall.core.kinds.token import Token
from modelhall.core.ports.store import Put

sys.path.append(str(Path(__file__).parents[1] / "unit" / "doors"))
from a_hall import DEADLINE_S, Listener, a_hall

TAKEN = Key("token", "home", "taken")
Change = Callable[[Hall, Identity], Awaitable[object]]


async def declare(hall: Hall, kind: str, name: str, **fields: object) -> None:
    await hall.apply([document_from_json({"kind": kind, "name": name, **fields})])


async def run(hall: Hall, name: str, project: str) -> None:
    await declare(hall, "run", name, project=project, command=["true"])


def test_a_stream_tells_of_ones_own_projects_only(tmp_path: Path) -> None:
    async def play(hall: Hall, api: FastAPI, secret: str) -> None:
        queries = ("", "after=0", "project=other", "project=nowhere", "kind=token")
        listeners = [Listener(api, secret, query) for query in queries]
        for listener in listeners:
            await listener.until(b"bookmark")
        await run(hall, "quagga", "other")
        await run(hall, "last", "home")
        for listener in listeners[:2]:
            told = await listener.until(b'"name": "last"')
            assert b"quagga" not in told
            assert b'"project": "other"' not in told
        # What is asked for in vain looks alike, whether it is there or not.
        assert listeners[2].body == listeners[3].body
        for listener in listeners:
            await listener.leave()
        assert b"digest" not in listeners[4].body

    asyncio.run(watching(tmp_path, play))


async def _suspend_user(hall: Hall, owner: Identity) -> None:
    await declare(hall, "user", "anna", suspended=True)


async def _expire(hall: Hall, owner: Identity) -> None:
    token = await hall.store.get(TAKEN)
    assert token is not None
    over = token.document.model_copy(update={"expires_at": 1.0})
    await hall.store.commit([Put(resource=token.model_copy(update={"document": over}))])


WAYS: dict[str, Change] = {
    "role taken away": lambda hall, owner: hall.people.set_member("home", "anna", None, owner),
    "token revoked": lambda hall, owner: hall.people.revoke(TAKEN, owner),
    "token suspended": lambda hall, owner: hall.people.suspend(TAKEN, "for the test", owner),
    "token rotated": lambda hall, owner: hall.people.rotate(TAKEN, 0.0, owner),
    "token expired": _expire,
    "user suspended": _suspend_user,
}


@pytest.mark.parametrize("way", WAYS)
def test_when_rights_are_taken_away_a_stream_tells_nothing_more(tmp_path: Path, way: str) -> None:
    async def play(hall: Hall, api: FastAPI, secret: str) -> None:
        listener = Listener(api, secret, "kind=run")
        await listener.until(b"bookmark")
        await run(hall, "before", "home")
        await listener.until(b'"name": "before"')
        owner = hall.directory.authenticate(f"Bearer {hall.token}")
        await WAYS[way](hall, owner)
        await run(hall, "quagga", "home")
        await listener.task
        assert listener.is_over
        assert b"quagga" not in listener.body

    asyncio.run(watching(tmp_path, play))


def test_not_even_when_those_who_watch_are_quicker_than_those_who_check(tmp_path: Path) -> None:
    async def play(hall: Hall, api: FastAPI, secret: str) -> None:
        listener = Listener(api, secret, "kind=run")
        await listener.until(b"bookmark")
        owner = hall.directory.authenticate(f"Bearer {hall.token}")
        await WAYS["token revoked"](hall, owner)
        await run(hall, "quagga", "home")
        await listener.task
        assert b"quagga" not in listener.body

    # The directory is told of nothing here unless somebody wants it to know.
    asyncio.run(watching(tmp_path, play, follows=False))


async def watching(
    home: Path, play: Callable[[Hall, FastAPI, str], Awaitable[None]], *, follows: bool = True
) -> None:
    """A hall with two projects, and a member of one with the secret of his token."""
    async with asyncio.timeout(DEADLINE_S), a_hall(home) as (hall, api):
        if not follows:
            await _stop_following(hall)
        await declare(hall, "user", "anna")
        await declare(hall, "project", "home", members={"anna": "admin"})
        await declare(hall, "project", "other", labels={"word": "quagga"})
        owner = hall.directory.authenticate(f"Bearer {hall.token}")
        issued = await hall.people.issue(Token(name="taken", project="home", user="anna"), owner)
        await hall.follower.catch_up()
        await play(hall, api, issued.secret)


async def _stop_following(hall: Hall) -> None:
    (task,) = (task for task in asyncio.all_tasks() if "Follower.follow" in repr(task))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
