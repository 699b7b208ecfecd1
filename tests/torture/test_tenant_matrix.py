"""Nobody reaches what is not his: every route and kind, asked by everybody, for his own project, another's and none.

What should be answered is worked out from `tenant_table.py`. A leak is a yes that should be a no, a word of another
tenant anywhere in an answer, any difference between what is not there and what is not his, and a look into the store
before a refusal. The gateway and the watch are in `test_tenants_at_the_gateway.py` and `test_tenants_watching.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from hostile_doors import routes_of
from tenant_table import (
    ASKS,
    NOT_HIS,
    NOT_THERE,
    STREAMS,
    UNKNOWN,
    Ask,
    Cell,
    cells,
    expected,
    may_know,
    written,
)  # fmt: skip
from tenants import HOME, NOWHERE, OTHER, WORDS, Caller, everything_of, settle, victim

from modelhall.app.hall import Hall
from modelhall.core.ports.store import Store
from modelhall.doors.api import permissions

sys.path.append(str(Path(__file__).parents[1] / "unit" / "doors"))
from a_hall import a_hall

LOOKS = ("get", "find", "latest", "events", "counts", "answer", "commit")
FEWEST = 1_200
SHARE = 1 if os.environ.get("MODELHALL_TORTURE") else 4
"""The normal run asks every route by one in so many callers, others for each route."""


class Answer(NamedTuple):
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    looks: int
    """How often the store was asked."""

    def without(self, *asked: str) -> Answer:
        """The same, without the names that the caller said himself."""
        body = self.body
        for name in asked:
            body = body.replace(name.encode(), b"*")
        kept = tuple(one for one in self.headers if one[0] != b"content-length")
        return self._replace(headers=kept, body=body)


@dataclass
class Findings:
    """What came of the matrix."""

    cells: int = 0
    leaks: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    """What should have been answered and was not: a matrix in which all is refused shows nothing."""
    statuses: Counter[int] = field(default_factory=Counter)


@pytest.mark.timeout(3000)
def test_nobody_reaches_what_is_not_his(tmp_path: Path) -> None:
    found, kept, unlisted = asyncio.run(play(tmp_path, list(ASKS), SHARE))
    figures = {"cells": found.cells, "leaks": len(found.leaks), "unlisted": len(unlisted)}
    print(json.dumps({**figures, "statuses": dict(sorted(found.statuses.items()))}))  # noqa: T201 - figures
    assert found.leaks == []
    assert found.locked == []
    assert kept
    assert unlisted == set()
    assert found.cells >= FEWEST


@pytest.mark.parametrize("route", [("GET", "/api/v1/runs/{name}/log"), ("GET", "/api/v1/{kinds}/{name}")])
def test_a_route_left_open_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: tuple[str, str]
) -> None:
    monkeypatch.setitem(permissions.RULES, route, permissions.ANYBODY)
    found, _, _ = asyncio.run(play(tmp_path, [ask for ask in ASKS if (ask.method, ask.path) == route]))
    assert any("quagga" in leak for leak in found.leaks)


def test_a_look_before_a_refusal_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = ("GET", "/api/v1/secrets/{project}")
    monkeypatch.setitem(permissions.RULES, route, permissions.ANYBODY)
    found, _, _ = asyncio.run(play(tmp_path, [ask for ask in ASKS if (ask.method, ask.path) == route]))
    assert any("looks" in leak for leak in found.leaks)


async def play(home: Path, asks: list[Ask], share: int = 1) -> tuple[Findings, bool, set[tuple[str, str]]]:
    """Ask all of it: what came of it; whether the other tenant has all that it had, unchanged; the routes nobody has
    a rule for, the rules that are for no route, and what this matrix leaves out."""
    async with a_hall(home) as (hall, api):
        callers = await settle(hall)
        before = await everything_of(hall, OTHER)
        matrix = Matrix(hall, api, asks)
        await matrix.run(callers, share)
        kept = await everything_of(hall, OTHER) == before
        routes = {(route.method, route.path) for route in routes_of(api) if route.method != "HEAD"}
        asked = {(ask.method, ask.path) for ask in ASKS} | STREAMS
        return matrix.found, kept, (routes ^ permissions.RULES.keys()) | (routes ^ asked)


class Matrix:
    """Asks an API in this process, cell by cell."""

    def __init__(self, hall: Hall, api: FastAPI, asks: list[Ask]) -> None:
        self.found = Findings()
        self._hall = hall
        self._api = api
        self._asks = asks
        self._looks = _count_looks(hall.store)
        self._not_his: Answer | None = None

    async def run(self, callers: list[Caller], share: int) -> None:
        for number, cell in enumerate(cells(callers, self._asks, share)):
            name = f"victim-{number}"
            if cell.ask.victim and cell.project in WORDS and cell.caller.may(cell.project):
                await self._make_victim(cell, name)
            answer = await self._send(cell, name, number)
            self.found.cells += 1
            self.found.statuses[answer.status] += 1
            self._judge(cell, answer, name)

    async def _make_victim(self, cell: Cell, name: str) -> None:
        if cell.ask.victim != "member":
            await victim(self._hall, cell.ask.victim, cell.project, name)
        elif cell.ask.method == "DELETE":
            owner = self._hall.directory.authenticate(f"Bearer {self._hall.token}")
            await self._hall.people.set_member(cell.project, "joining-user", "viewer", owner)

    def _judge(self, cell: Cell, answer: Answer, name: str) -> None:
        told = f"{cell.ask} by {cell.caller.name} for {cell.project}: {answer.status} {answer.body[:300]!r}"
        no = expected(cell)
        if no is None:
            if (cell.project != NOWHERE and answer.status not in cell.ask.status) or answer.status == 500:
                self.found.locked.append(told)
        elif answer.status != no and not (no == NOT_HIS and cell.project == NOWHERE):
            self.found.leaks.append(f"not {no}: {told}")
        heard = answer.without(*_names(cell, name))
        if not may_know(cell) and WORDS[OTHER].encode() in heard.body + repr(heard.headers).encode():
            self.found.leaks.append(f"a word of another's: {told}")
        if no in (UNKNOWN, NOT_THERE):
            self._compare(cell, heard, told)

    def _compare(self, cell: Cell, heard: Answer, told: str) -> None:
        """What is not his, and then what is not there, which is asked next."""
        if heard.looks and cell.ask.where != "unseen":
            self.found.leaks.append(f"{heard.looks} looks before a refusal: {told}")
        if cell.project == OTHER:
            self._not_his = heard
        elif cell.project == NOWHERE and heard != self._not_his:
            self.found.leaks.append(f"unlike {self._not_his}: {told}")

    async def _send(self, cell: Cell, name: str, number: int) -> Answer:
        path, _, query = written(cell.ask.url, cell.project, name).partition("?")
        body = written(cell.ask.body, cell.project, name)
        is_text = isinstance(body, str)
        content = b"" if body is None else body.encode() if is_text else json.dumps(body).encode()
        headers = {"host": "localhost", "content-length": str(len(content))}
        if content:
            headers["content-type"] = "text/plain" if is_text else "application/json"
        if cell.caller.header:
            headers["authorization"] = cell.caller.header
        # Who knocks in vain is locked out by and by, him or his address; that is tested elsewhere.
        address = (
            "127.0.0.1" if cell.caller.known else f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        )
        scope = {
            "type": "http", "method": cell.ask.method, "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "root_path": "", "http_version": "1.1", "scheme": "http",
            "client": (address, 1), "headers": [(one.encode(), value.encode()) for one, value in headers.items()],
        }  # fmt: skip
        return await _asked(self._api, scope, content, self._looks)


def _names(cell: Cell, name: str) -> list[str]:
    """What the caller says himself, longest first: to be left out of what is compared."""
    words = [HOME, OTHER, NOWHERE, name]
    said = json.dumps([written(cell.ask.url, cell.project, name), written(cell.ask.body, cell.project, name)])
    resources = [f"{WORDS[OTHER]}-{end}" for end in ENDS if f"{WORDS[OTHER]}-{end}" in said]
    return sorted((*words, *resources), key=len, reverse=True)


ENDS = ("dataset", "model", "service", "run", "result", "token", "secret", "request", "node", "user")


async def _asked(api: FastAPI, scope: dict[str, Any], content: bytes, looks: list[str]) -> Answer:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    looks.clear()
    async with asyncio.timeout(20):
        await api(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], tuple(sent[0]["headers"]), body, len(looks))


def _count_looks(store: Store) -> list[str]:
    """A list that grows whenever the store is asked for something."""
    looks: list[str] = []

    def counted(name: str) -> Any:
        asked = getattr(store, name)

        async def ask(*given: Any, **more: Any) -> Any:
            looks.append(name)
            return await asked(*given, **more)

        return ask

    for name in LOOKS:
        setattr(store, name, counted(name))
    return looks
