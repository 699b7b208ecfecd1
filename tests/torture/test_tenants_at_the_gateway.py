"""The tenant matrix at the gateway: every path, by everybody, for his own project's service, another's and none.

What should be answered is worked out here. The gateway has the hall's own directory and real replicas on loopback.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tenants import HOME, NOWHERE, OTHER, WORDS, Caller, settle, word_of

from modelhall.app.hall import Hall
from modelhall.app.shelf import FolderShelf
from modelhall.core.kinds import Key
from modelhall.core.kinds.service import ServiceStatus
from modelhall.core.ports.book import Usage
from modelhall.core.ports.store import Put
from modelhall.gateway.gateway import Gateway
from modelhall.gateway.openai import FORWARDED
from modelhall.gateway.server import Server

sys.path += [str(Path(__file__).parents[1] / "unit" / room) for room in ("doors", "gateway")]
from a_hall import a_hall
from stand_ins import Answer, StandIn, answering, request
from stand_ins import Caller as Line

IN_PROJECT = [
    ("POST", "/v2/models/{p}.{w}-service/infer"),
    ("POST", "/v2/models/{p}.{w}-service/versions/ffff/infer"),
    ("GET", "/v2/models/{p}.{w}-service"),
    ("GET", "/v2/models/{p}.{w}-service/ready"),
    ("GET", "/v1/models/{p}.{w}-service"),
]
IN_BODY = [("POST", path.decode()) for path in FORWARDED]
"""Those that name the service in their body."""
OWN = [(method, path) for path in ("/v1/files", "/v1/batches") for method in ("GET", "POST")]
"""What everybody has of his own project alone."""
MODEL = '{"model": "{p}.{w}-service"}'
WITHOUT_HEALTH = [
    ("GET", "/v2"),
    ("POST", "/v2/repository/index"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
]
HEALTH = [("GET", "/v2/health/live"), ("GET", "/v2/health/ready")]


def test_nobody_reaches_a_service_that_is_not_his(tmp_path: Path) -> None:
    cells, leaks = asyncio.run(_play(tmp_path))
    print(json.dumps({"cells": cells, "leaks": len(leaks)}))  # noqa: T201 - a figure
    assert leaks == []
    assert cells > 400


async def _play(home: Path) -> tuple[int, list[str]]:
    async with a_hall(home) as (hall, _):
        callers = await settle(hall)
        async with _a_gateway(hall) as door:
            leaks: list[str] = []
            cells = 0
            for caller in callers:
                for method, path in (*IN_PROJECT, *IN_BODY, *OWN, *WITHOUT_HEALTH, *HEALTH):
                    places = (HOME, OTHER, NOWHERE) if _is_of_a_project(path) else (HOME,)
                    answers = [await door.ask(caller, method, path, place) for place in places]
                    cells += len(answers)
                    leaks += _leaks(caller, method, path, answers)
            leaks += [
                f"paid: {usage}" for usage in door.usage if usage.project != HOME and not door.pays(usage)
            ]
            return cells, leaks


def _leaks(caller: Caller, method: str, path: str, answers: list[Answer]) -> list[str]:
    found = []
    for place, answer in zip((HOME, OTHER, NOWHERE), answers, strict=False):
        told = f"{method} {_at(path, place)} by {caller.name}: {answer.status} {answer.body!r}"
        no = _expected(caller, path, place)
        if no is not None and answer.status != no:
            found.append(f"not {no}: {told}")
        if no is None and answer.status in (401, 403):
            found.append(f"locked out: {told}")
        heard = _plain(answer)
        may_know = ("operate" if path == "/metrics" else "use") in caller.everywhere
        if not may_know and WORDS[OTHER] in heard.replace(f"{WORDS[OTHER]}-service", "*"):
            found.append(f"a word of another's: {told}")
    if len(answers) == 3 and "use" not in caller.everywhere and _plain(answers[1]) != _plain(answers[2]):
        found.append(f"not there and not his differ: {method} {path} by {caller.name}: {answers[1:]}")
    return found


def _expected(caller: Caller, path: str, place: str) -> int | None:
    """The status that says no, None for whoever may."""
    if path.startswith("/v2/health"):
        return None
    if not caller.known:
        return 401
    if path == "/metrics":
        return None if "operate" in caller.everywhere else 403
    if path in dict(map(reversed, OWN)):
        return None if "use" in caller.may(HOME) else 403
    if _is_of_a_project(path):
        return None if "use" in caller.may(place) and place in WORDS else 404
    return None


def _is_of_a_project(path: str) -> bool:
    return "{p}" in path or ("POST", path) in IN_BODY


def _at(path: str, place: str) -> str:
    return path.replace("{p}", place).replace("{w}", word_of(place))


def _plain(answer: Answer) -> str:
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return f"{answer.status} {headers} {answer.body!r}"


class Door:
    """A gateway on a free port, and who was let through it."""

    def __init__(self, address: tuple[str, int], usage: list[Usage]) -> None:
        self.usage = usage
        self._address = address
        self._operators: set[str] = set()

    async def ask(self, caller: Caller, method: str, path: str, place: str) -> Answer:
        line = Line(*await asyncio.open_connection(*self._address))
        shown = f"authorization: {caller.header}\r\n" if caller.header else ""
        before = len(self.usage)
        body = _at(MODEL, place).encode() if (method, path) in IN_BODY else b"{}" if method == "POST" else b""
        sent = request(_at(path, place), body, method=method)
        line.send(sent.replace(b"authorization: Bearer alpha\r\n", shown.encode()))
        answer = await line.answer()
        line.close()
        if "use" in caller.everywhere:
            self._operators |= {usage.request for usage in self.usage[before:]}
        return answer

    def pays(self, usage: Usage) -> bool:
        """Whether somebody who may do so everywhere has asked for this."""
        return usage.request in self._operators


@asynccontextmanager
async def _a_gateway(hall: Hall) -> AsyncIterator[Door]:
    replicas = [await _serve(hall, project) for project in WORDS]
    usage: list[Usage] = []
    spend = lambda lines: usage.extend(Usage(**line) for line in lines)  # noqa: E731
    numbers = itertools.count()
    new_id = lambda: f"id-{next(numbers)}"  # noqa: E731
    gateway = Gateway(
        store=hall.store, authenticate=hall.directory.authenticate, spend=spend, clock=hall.clock,
        shelf=FolderShelf(hall.settings, hall.clock.now), new_id=new_id,
    )  # fmt: skip
    server = Server(gateway, new_id)
    address = await server.listen("127.0.0.1", 0)
    running = asyncio.create_task(gateway.run())
    try:
        while not gateway.routes.loaded:
            await asyncio.sleep(0.005)
        yield Door(address, usage)
    finally:
        running.cancel()
        for replica in replicas:
            replica.die()
        await server.close(grace_s=0)


async def _serve(hall: Hall, project: str) -> StandIn:
    """A replica that says its project's word."""
    word = WORDS[project]
    replica = await StandIn(
        f"{word}-replica", behave=answering("200 OK", f'{{"word": "{word}"}}'.encode())
    ).start()
    found = await hall.store.get(Key("service", project, f"{word}-service"))
    assert found is not None
    status = ServiceStatus(version=replica.version, replicas=(replica.replica,))
    await hall.store.commit([Put(resource=found.model_copy(update={"status": status}))])
    return replica
