"""A replica answers nobody but its hall's gateway: every program on its node can reach its port."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httpx
import pytest

from modelhall.core.replica_key import HEADER, replica_key
from modelhall.serving.app import app_for

KEY = replica_key(b"k" * 32)
PATHS = ("/v2", "/v2/health/live", "/v2/health/ready", "/metrics", "/nowhere", "/v2/models/digits")


class Nothing:
    """A model and a batcher that must not be asked."""

    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()
    waiting = 0


def ask(path: str, headers: dict[str, str], method: str = "GET") -> int:
    app = app_for("digits", "1234", cast(Any, Nothing()), cast(Any, Nothing()), KEY)

    async def send() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://replica") as client:
            return (await client.request(method, path, headers=headers)).status_code

    return asyncio.run(send())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shown", [None, "", KEY[:-1], KEY.upper(), KEY + " x"])
def test_without_the_key_nothing_is_told(path: str, shown: str | None) -> None:
    headers = {} if shown is None else {HEADER.decode(): shown}
    assert ask(path, headers) == 403
    assert ask("/v2/models/digits/infer", headers, "POST") == 403


def test_with_the_key_it_answers() -> None:
    headers = {HEADER.decode(): KEY}
    assert ask("/v2/health/ready", headers) == 200
    assert ask("/v2", headers) == 200
    assert ask("/nowhere", headers) == 404
