"""A hall and its API in this process, asked without a socket. Nothing drives it: what is declared stays as it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from modelhall.app import hall as halls
from modelhall.app.hall import Hall
from modelhall.doors.api import create
from modelhall.settings import Settings

DEADLINE_S = 20.0


def ask(home: Path, play: Callable[[httpx.AsyncClient, Hall], Awaitable[None]]) -> None:
    """Play something with a client that has the token."""

    async def whole() -> None:
        async with asyncio.timeout(DEADLINE_S), a_hall(home) as (hall, api):
            headers = {"authorization": f"Bearer {hall.token}"}
            transport = httpx.ASGITransport(api)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", headers=headers
            ) as client:
                await play(client, hall)

    asyncio.run(whole())


@asynccontextmanager
async def a_hall(home: Path, **settings: Any) -> AsyncIterator[tuple[Hall, FastAPI]]:
    hall = Hall(Settings(home=home, **settings))
    following = [asyncio.create_task(part) for part in (hall.feed.run(), hall.follower.follow())]
    await hall.follower.catch_up()
    try:
        yield hall, create(hall)
    finally:
        for task in following:
            task.cancel()
        await hall.close()


class Ahead:
    """The real time, and as much later as a test says; given to a hall that is made while it is in place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_s = 0.0
        monkeypatch.setattr(halls, "SystemClock", lambda: self)

    def now(self) -> float:
        return time.time() + self.by_s

    def monotonic(self) -> float:
        return time.monotonic() + self.by_s


class Listener:
    """One request to the watch, as the server would make it; what it is sent is gathered until `leave`."""

    def __init__(self, api: FastAPI, token: str, query: str, **headers: str) -> None:
        self.status = 0
        self.body = b""
        self.is_over = False
        self._news = asyncio.Event()
        self._left = asyncio.Event()
        named = {"host": "localhost", "authorization": f"Bearer {token}", **headers}
        scope = {
            "type": "http", "method": "GET", "path": "/api/v1/watch", "raw_path": b"/api/v1/watch",
            "query_string": query.encode(), "root_path": "", "http_version": "1.1", "scheme": "http",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        self._asked = False
        self.task = asyncio.create_task(api(scope, self._receive, self._send))

    async def until(self, seen: bytes) -> bytes:
        """Wait until it was sent this."""
        while seen not in self.body:
            self._news.clear()
            await self._news.wait()
        return self.body

    async def leave(self) -> None:
        """Go away, and see that the server has noticed."""
        self._left.set()
        await self.task

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")
        if message["type"] == "http.response.body":
            self.is_over = not message.get("more_body", False)
        self._news.set()
