"""The API keeps what its own description promises: to whoever keeps to it, and to whoever does not.

Schemathesis draws requests from the OpenAPI document and checks every answer against it. The watch, whose answer has
no end, is looked at in tests/unit/doors/test_watch.py.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hostile_doors import a_hall
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import positive_data_acceptance

LONG = bool(os.environ.get("MODELHALL_TORTURE"))
PATIENCE_S = 30.0

WITHOUT_END = "/api/v1/watch"
MORE_THAN_A_SCHEMA = {
    "POST /api/v1/apply": "which documents there may be depends on what they name",
    "GET /api/v1/audit/verify": "a head is one that was signed",
    "GET /api/v1/events": "kind and name are given together",
    "PATCH /api/v1/nodes/{name}": "a window ends after it starts",
    "POST /api/v1/nodes/{name}/beat": "bytes are told in base64",
    "POST /api/v1/services/{name}/rollout/{act}": "there has to be something on its way",
    "POST /api/v1/tokens": "a token is of a user, has a role, or is an operator's",
}
"""Where keeping to the description is not enough to be accepted, and why."""
MODES = list(schemathesis.GenerationMode)
CHOSEN = settings(
    max_examples=150 if LONG else 3,
    derandomize=not LONG,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Asked:
    """A hall and its API on a loop of their own, asked from this thread."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def __enter__(self) -> Asked:
        self._thread.start()
        assert self._started.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        async with a_hall(self._home) as (hall, api):
            headers = {"authorization": f"Bearer {hall.token}"}
            transport = httpx.ASGITransport(api, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, headers=headers) as self._client:
                self.document = api.openapi()
                self._started.set()
                await self._over.wait()

    def ask(self, case: schemathesis.Case) -> httpx.Response:
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://localhost")).prepare()
        asking = self._client.request(sent.method, sent.url, headers=dict(sent.headers), content=sent.body)
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result(PATIENCE_S)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with Asked(tmp_path_factory.mktemp("hall")) as asked:
        yield asked


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("mode", MODES, ids=[mode.value for mode in MODES])
def test_every_answer_is_one_that_the_description_has(
    asked: Asked, mode: schemathesis.GenerationMode
) -> None:
    described = schemathesis.openapi.from_dict(asked.document).exclude(path=WITHOUT_END)
    problems = [
        problem
        for operation in described.get_all_operations()
        for problem in _play(operation.ok(), mode, asked)
    ]
    assert not problems, "\n\n".join(problems)


def _play(operation: schemathesis.APIOperation, mode: schemathesis.GenerationMode, asked: Asked) -> list[str]:
    """Send requests for one operation; return what is wrong with its answers."""

    @CHOSEN
    @given(operation.as_strategy(generation_mode=mode))
    def play(case: schemathesis.Case) -> None:
        excluded = [positive_data_acceptance] if operation.label in MORE_THAN_A_SCHEMA else []
        case.validate_response(asked.ask(case), excluded_checks=excluded)

    try:
        play()
    except Unsatisfiable:
        return []  # there is nothing to do wrong, since it takes nothing
    except BaseExceptionGroup as error:
        return [f"{operation.label}: {problem}" for problem in error.exceptions]
    return []
