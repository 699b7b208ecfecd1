"""A hall and its API in this process, asked without a socket. Nothing drives it: what is declared stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

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
                transport=transport, base_url="http://hall", headers=headers
            ) as client:
                await play(client, hall)

    asyncio.run(whole())


@asynccontextmanager
async def a_hall(home: Path) -> AsyncIterator[tuple[Hall, FastAPI]]:
    hall = Hall(Settings(home=home))
    following = asyncio.create_task(hall.feed.run())
    try:
        yield hall, create(hall)
    finally:
        following.cancel()
        await hall.close()


class Listener:
    """One request to the watch, as the server would make it; what it is sent is gathered until `leave`."""

    def __init__(self, api: FastAPI, token: str, query: str, **headers: str) -> None:
        self.status = 0
        self.body = b""
        self.is_over = False
        self._news = asyncio.Event()
        self._left = asyncio.Event()
        named = {"authorization": f"Bearer {token}", **headers}
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
