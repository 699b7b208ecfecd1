"""Small models that tell texts, for tests: trained by nobody, so that they say the same for ever."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import torch
from starlette.applications import Starlette

from modelhall import networks, tasks
from modelhall.core.base_models import BELOW
from modelhall.core.kinds.adapter import Adapter, Lora
from modelhall.core.kinds.model import Network
from modelhall.serving.app import app_for
from modelhall.serving.batcher import Batcher
from modelhall.serving.engines import Generator, Sampling, Token
from modelhall.serving.engines.torch import generator
from modelhall.serving.generation.chat import template_of
from modelhall.serving.generation.following import Following
from modelhall.serving.generation.http import Generation
from modelhall.serving.generation.planned import Teller
from modelhall.serving.generation.worker import Worker
from modelhall.serving.model import Model

KEYS = itertools.count(1000)
WORDS = "the quick brown fox jumps over the lazy dog, 你好 and thou shalt not. " * 40


def made(folder: Path, family: str = "llama", *, length: int = 64, **options: Any) -> Path:
    """A network and its task, as training would leave them."""
    task = tasks.fit("text-generation", {"train": pl.DataFrame({"text": [WORDS]})}, {}, length=length)
    sizes = {"hidden": 16, "layers": 2, "heads": 2} if family != "rnn" else {"hidden": 16}
    network = Network(family=family, **{**sizes, **options})
    torch.manual_seed(0)
    folder.mkdir()
    networks.save(networks.build(network, task.shape), network, task.shape, folder)
    task.save(folder)
    return folder


def adapted(base: Path, folder: Path, *, seed: int, **lora: Any) -> Path:
    """An adapter of the network in `base`, with that below it, as a replica has it. It says something else."""
    adapter = Adapter(lora=Lora(**lora))
    started = networks.start(base, None, networks.shape_of(base))
    networks.adapt(started, adapter)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in started.module.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.5)
    folder.mkdir()
    networks.save(started.module, started.network, networks.shape_of(base), folder, adapter)
    tasks.load("text-generation", base).save(folder)
    shutil.copytree(base, folder / BELOW)
    return folder


def tell(engine: Generator, *texts: tuple[Sequence[int], Sampling]) -> list[list[Token]]:
    """All that an engine tells of texts that begin together."""
    told: dict[int, list[Token]] = {}
    for key, (prompt, sampling) in zip(KEYS, texts, strict=False):
        told[key] = []
        engine.add(key, prompt, sampling)
    while not all(one and one[-1].end for one in told.values()):
        for token in engine.step():
            told[token.key].append(token)
    return list(told.values())


def ids(told: Sequence[Token]) -> list[int]:
    return [token.id for token in told]


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A replica's application, asked without a socket."""

    app: Starlette
    http: httpx.AsyncClient
    worker: Worker
    teller: Teller

    async def ask(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(path, content=json.dumps({"model": "bard", **body}))

    async def text(self, prompt: Any = "the quick", **body: Any) -> dict[str, Any]:
        asked = {"max_tokens": 8, "temperature": 0, **body}
        answer = await self.ask("/v1/completions", prompt=prompt, **asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def chat(self, *said: str, **body: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": one} for one in said]
        answer = await self.ask("/v1/chat/completions", messages=messages, **{"max_tokens": 8, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def events(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """A stream's events, of which the last must be the protocol's last word."""
        answer = await self.ask(path, stream=True, **body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        data = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
        assert data.pop() == "[DONE]"
        return [json.loads(one) for one in data]

    async def refusal(self, path: str = "/v1/completions", **body: Any) -> dict[str, Any]:
        """What is wrong with a request, in the protocol's shape."""
        answer = await self.ask(path, **{"prompt": "the", **body} if path == "/v1/completions" else body)
        assert 400 <= answer.status_code < 500, answer.text
        error = answer.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return {**error, "status": answer.status_code}


@asynccontextmanager
async def replica_of(
    folder: Path, *, engine: Generator | None = None, slots: int = 4
) -> AsyncIterator[Replica]:
    task = tasks.load("text-generation", folder)
    assert isinstance(task, tasks.Tells)
    engine = engine or generator(folder, task, threads=1, slots=slots)
    worker = Worker(engine, slots=slots)
    teller = Teller(
        tokenizer=task.tokenizer, ends=task.ends, length=task.shape.sizes["length"], template=template_of(folder),
        engine=engine, version="3f2a9c00",
    )  # fmt: skip
    model = Model(task, Following(task, worker), batch=4)
    batcher = Batcher(model.answer, max_size=4, max_delay_s=0.0)
    app = app_for("bard", "3f2a9c00", model, batcher, generation=Generation(teller, worker))
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://r") as http:
            yield Replica(app=app, http=http, worker=worker, teller=teller)
    finally:
        batcher.close()
        worker.close()


async def until(true: Any, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.002)
