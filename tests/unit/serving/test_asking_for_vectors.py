"""A model whose task is vectors answers by both protocols, and the same."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import torch

from modelhall import networks, tasks
from modelhall.core.kinds.model import Network
from modelhall.serving.app import app_for
from modelhall.serving.batcher import Batcher
from modelhall.serving.engines.torch import load
from modelhall.serving.model import Model

PATH = "/v1/embeddings"
TEXTS = ["the tide is high", "a rope"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    rows = pl.DataFrame(
        {"anchor": ["the tide is high", "a rope"] * 4, "positive": ["high water", "a line"] * 4}
    )
    task = tasks.fit("embedding", {"train": rows}, {})
    network = Network(family="transformer", hidden=8, layers=1, heads=2)
    torch.manual_seed(0)
    networks.save(networks.build(network, task.shape), network, task.shape, folder)
    task.save(folder)
    return folder


@pytest.fixture
async def http(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    task = tasks.load("embedding", folder)
    model = Model(task, load(folder, task, threads=1), batch=4)
    batcher = Batcher(model.answer, max_size=4, max_delay_s=0.0)
    app = app_for("near", "3f2a", model, batcher, task="embedding")
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://r") as client:
            yield client
    finally:
        batcher.close()


async def asked(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post(PATH, content=json.dumps({"model": "near", **body}))
    return {"status": answer.status_code, **answer.json()}


async def test_both_protocols_tell_the_same_vectors(http: httpx.AsyncClient) -> None:
    told = await asked(http, input=TEXTS)
    given = {"name": "text", "datatype": "BYTES", "shape": [2], "data": TEXTS}
    inferred = (await http.post("/v2/models/near/infer", json={"inputs": [given]})).json()["outputs"]
    vectors, tokens = (output["data"] for output in inferred)
    assert [one["index"] for one in told["data"]] == [0, 1]
    assert [value for one in told["data"] for value in one["embedding"]] == pytest.approx(vectors)
    assert told["usage"]["prompt_tokens"] == sum(tokens) > 2
    assert told["usage"]["compute_s"] >= 0


async def test_a_vector_comes_packed_for_those_who_ask_so(http: httpx.AsyncClient) -> None:
    plain = (await asked(http, input="a rope"))["data"][0]["embedding"]
    packed = (await asked(http, input="a rope", encoding_format="base64"))["data"][0]["embedding"]
    assert struct.unpack(f"<{len(plain)}f", base64.b64decode(packed)) == pytest.approx(plain)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"input": [[1, 2]]}, "check_embedding_ctx_length"),
        ({"input": [1, 2]}, "check_embedding_ctx_length"),
        ({"input": []}, "1 to 2048 texts"),
        ({"input": ["a"] * 2049}, "not 2049"),
        ({"input": "a", "dimensions": 3}, "8 dimensions"),
        ({"input": "a", "dimension": 3}, "did you mean 'dimensions'"),
    ],
)
async def test_what_cannot_be_embedded_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any], says: str
) -> None:
    told = await asked(http, **body)
    assert told["status"] == 400
    assert says in told["error"]["message"]


async def test_it_tells_no_texts(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/completions", json={"model": "near", "prompt": "a"})
    assert answer.status_code == 400
    assert "embedding" in answer.json()["error"]["message"]
