"""The guard before the API's routes. Every real route is asked in tests/e2e."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from modelhall.core.access import Identity
from modelhall.core.errors import Denied
from modelhall.doors.api import answers, guard
from modelhall.trust.sessions import Proofs

TOKEN = "mh_" + "a" * 43


def authenticate(header: bytes | str | None) -> Identity:
    if header != f"Bearer {TOKEN}".encode():
        raise Denied("not you", status=401)
    return Identity(name="first", project="default")


def ask(method: str = "POST", path: str = "/echo", **more: Any) -> httpx.Response:
    """One request to an API with one route, behind the guard."""
    api = FastAPI(docs_url=None, redoc_url=None)

    @api.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @api.get("/api/v1/health")
    async def health() -> str:
        return "ok"

    answers.install(api)
    guard.install(api, lambda header: partial(authenticate, header), Proofs(b"k" * 32))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://hall") as client:
            return await client.request(method, path, **more)

    return asyncio.run(send())


def known() -> dict[str, str]:
    return {"authorization": f"Bearer {TOKEN}"}


def test_the_token_opens_and_its_lack_closes() -> None:
    assert ask(content=b"four", headers=known()).json() == 4
    assert ask(content=b"four").status_code == 401
    assert ask("GET", "/nowhere").status_code == 401
    assert ask("GET", "/nowhere", headers=known()).status_code == 404


def test_health_is_open_and_nothing_like_it_is() -> None:
    assert ask("GET", "/api/v1/health").status_code == 200
    for path in ("/api/v1/health/", "/api/v1/healthy", "//api/v1/health", "/api/v1/Health", "/api/v1"):
        assert ask("GET", path).status_code == 401


@pytest.mark.parametrize("user", ["", "anybody", "a b"])
def test_the_password_of_basic_authentication_is_the_token(user: str) -> None:
    right = base64.b64encode(f"{user}:{TOKEN}".encode()).decode()
    assert ask(headers={"authorization": f"Basic {right}"}).status_code == 200
    wrong = base64.b64encode(f"{TOKEN}:{user}".encode()).decode()
    assert ask(headers={"authorization": f"Basic {wrong}"}).status_code == 401


@pytest.mark.parametrize("value", ["Basic", "Basic ", "Basic %%%", "Basic YQ", "Basic " + "=" * 9])
def test_broken_basic_authentication_is_refused(value: str) -> None:
    assert ask(headers={"authorization": value}).status_code == 401


def chunks(size: int) -> Iterator[bytes]:
    for start in range(0, size, 2**20):
        yield b"x" * min(2**20, size - start)


async def one_by_one(size: int) -> Any:
    for chunk in chunks(size):
        yield chunk


@pytest.mark.parametrize("told", [True, False], ids=["told", "in chunks"])
def test_a_body_may_have_the_limit_and_not_a_byte_more(told: bool) -> None:
    for size, status in ((guard.LARGEST_BODY_BYTES, 200), (guard.LARGEST_BODY_BYTES + 1, 413)):
        content = b"x" * size if told else one_by_one(size)
        answer = ask(content=content, headers=known())
        assert answer.status_code == status
    assert answer.json()["error"]["message"] == guard.TOO_LARGE


def test_a_length_that_is_no_number_is_refused() -> None:
    assert ask(headers={**known(), "content-length": "-1"}).status_code == 413
