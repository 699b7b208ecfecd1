"""CVE-2025-27520: BentoML unpickled the body of a request, by a header that the caller sent. A replica reads JSON,
and what is in it are words and numbers, whatever the request calls itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import loading
import payloads
import polars as pl
import pytest
from watching import Unharmed

from modelhall import tasks
from modelhall.serving.app import app_for
from modelhall.serving.batcher import Batcher
from modelhall.serving.model import Model
from modelhall.tasks import Examples, Predictions

INFER = "/v2/models/m/infer"
TYPES = [
    "application/json", "application/vnd.bentoml+pickle", "application/octet-stream", "application/x-python-pickle",
    "multipart/form-data; boundary=x", "application/x-yaml", "application/vnd.apache.arrow.stream",
]  # fmt: skip


class NoEngine:
    """No request of these tests gets as far as a network."""

    def predict(self, examples: Examples, *, batch: int) -> Predictions:
        raise AssertionError("a hostile request reached the network")


@pytest.fixture(scope="module")
def ask() -> Callable[[bytes, dict[str, str]], httpx.Response]:
    """Asks a replica's own application."""
    frame = pl.DataFrame({"image": [loading.picture()] * 4, "label": ["a", "b"] * 2})
    model = Model(tasks.fit("image-classification", {"train": frame}, {}), NoEngine(), batch=4)

    async def answer(body: bytes, headers: dict[str, str]) -> httpx.Response:
        batcher = Batcher(model.answer, max_size=4, max_delay_s=0)
        app = app_for("m", "v", model, batcher)
        try:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
                return await client.post(INFER, content=body, headers=headers)
        finally:
            batcher.close()

    def blocking(body: bytes, headers: dict[str, str]) -> httpx.Response:
        return asyncio.run(answer(body, headers))

    blocking(b"{}", {})
    return blocking


@pytest.mark.parametrize("wrap", payloads.WRAPPINGS)
@pytest.mark.parametrize("kind", TYPES)
def test_a_pickle_as_a_body_is_refused_whatever_the_request_calls_it(
    kind: str,
    wrap: Callable[[object], bytes],
    ask: Callable[..., httpx.Response],
    canary: Path,
    unharmed: Unharmed,
) -> None:
    headers = {
        "content-type": kind,
        "payload-container": "DefaultContainer",
        "buffer-lengths": "10",
        "args-number": "1",
    }
    body = wrap(payloads.calls(canary)[0])
    with unharmed():
        answer = ask(body, headers)
    assert answer.status_code == 400
    assert "error" in answer.json()


@pytest.mark.parametrize("wrap", payloads.WRAPPINGS)
def test_a_pickle_in_the_place_of_a_picture_is_refused(
    wrap: Callable[[object], bytes], ask: Callable[..., httpx.Response], canary: Path, unharmed: Unharmed
) -> None:
    body = json.dumps(loading.request(wrap(payloads.calls(canary)[1]))).encode()
    with unharmed():
        answer = ask(body, {"content-type": "application/json"})
    assert (answer.status_code, "is not a picture" in answer.json()["error"]) == (400, True)
