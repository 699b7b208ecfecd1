"""Text generation by an installed vLLM: its server, started beside the replica by its command line, told token by
token over a socket that nobody else has.

vLLM wants other versions than the hall, so it is no dependency: `vllm` is found on the PATH, in whatever environment
it has. For families that transformers has; on processors as well, where its build for them is installed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import httpx
import psutil
from transformers import AutoConfig

from modelhall.core.errors import Broken, Rejected
from modelhall.serving.engines import Sampling, Token
from modelhall.tasks import Task, Tells

log = logging.getLogger(__name__)

_ALTERNATIVES = 20
_START_S = 600.0
_LOOK_EVERY_S = 0.2
_EXIT_CODE = 70
_QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_FLOAT32_BYTES = 4
_ID = "token_id:"
"""Before a token where vLLM names one in a text."""


def generator(folder: Path, task: Task, *, threads: int, slots: int) -> VllmGenerator:
    """The network in `folder`, with room for `slots` texts. Raises Rejected where vLLM is not installed, and Broken
    where it does not come up."""
    assert isinstance(task, Tells)
    program = shutil.which("vllm")
    if program is None:
        raise Rejected("vllm is not installed: there is no such program on the PATH", field="engine")
    place = Path(tempfile.mkdtemp(prefix="vllm-"))
    command = [
        program, "serve", str(folder), "--served-model-name", "it", "--uds", str(place / "socket"),
        "--max-model-len", str(task.reads), "--max-num-seqs", str(slots), "--dtype", "float32",
        "--kv-cache-memory-bytes", str(_kept_bytes(folder, task.reads * (slots + 1))),
        "--generation-config", "vllm", "--max-logprobs", str(_ALTERNATIVES), "--disable-uvicorn-access-log",
    ]  # fmt: skip
    if shutil.which("nvidia-smi") is None:
        command.append("--enforce-eager")  # compiling takes minutes of a processor at every start
    told = {**os.environ, **_QUIET, "OMP_NUM_THREADS": str(threads)}
    process = psutil.Popen(
        command, env=told, stdin=subprocess.DEVNULL, stdout=2
    )  # what it says is for the log
    return VllmGenerator(process, place / "socket")


def _kept_bytes(folder: Path, tokens: int) -> int:
    """What keys and values of so many tokens take at most. Left to itself vLLM takes all the memory there is."""
    config = AutoConfig.from_pretrained(folder)
    return int(2 * config.num_hidden_layers * config.hidden_size * _FLOAT32_BYTES * tokens)


class VllmGenerator:
    alternatives = _ALTERNATIVES
    schemas = True
    vectors = False
    scores = False
    penalties = True
    counts_told = False

    def __init__(
        self, process: psutil.Popen, socket: Path, *, die: Callable[[int], NoReturn] = os._exit
    ) -> None:
        """Wait until it answers; `die` ends the replica when it is gone later."""
        self._process = process
        self._socket = socket
        self._die = die
        self._come: queue.SimpleQueue[Token | None] = queue.SimpleQueue()
        self._texts: dict[int, asyncio.Future[None]] = {}
        """Those under way."""
        self._wait()
        self._all = [process, *process.children(recursive=True)]
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True).start()
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://vllm", timeout=None
        )

    @property
    def spent_s(self) -> float:
        try:
            return sum(sum(one.cpu_times()[:2]) for one in self._all)
        except psutil.Error:
            return 0.0

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        asked = _asked([*prompt, *sampling.told], sampling)
        self._texts[key] = asyncio.run_coroutine_threadsafe(self._follow(key, asked), self._loop)  # type: ignore[assignment]

    def step(self) -> list[Token]:
        """What has come since, at least one token unless a text broke off."""
        told = [self._come.get()]
        while not self._come.empty():
            told.append(self._come.get())
        if None in told:
            raise Broken("vllm broke off; the log of the replica says why")
        here = [token for token in told if token is not None and token.key in self._texts]
        for token in here:
            if token.end is not None:
                del self._texts[token.key]
        return here

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        raise NotImplementedError("vllm tells texts alone here")

    def score(self, text: Sequence[int], alternatives: int) -> list[Token]:
        raise NotImplementedError("vllm tells texts alone here")

    def cancel(self, key: int) -> None:
        if (text := self._texts.pop(key, None)) is not None:
            text.cancel()

    def close(self) -> None:
        """End its server."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._socket.parent, ignore_errors=True)

    def _wait(self) -> None:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._socket)), base_url="http://vllm"
        ) as http:
            for _ in range(int(_START_S / _LOOK_EVERY_S)):
                if self._process.poll() is not None:
                    raise Broken(f"vllm ended with code {self._process.returncode} while it was started")
                try:
                    if http.get("/health").is_success:
                        return
                except httpx.TransportError:
                    pass  # it does not listen yet
                time.sleep(_LOOK_EVERY_S)
        self._process.kill()
        raise Broken(f"vllm did not come up within {_START_S:g} s")

    async def _follow(self, key: int, asked: dict[str, Any]) -> None:
        """Have a text told, and hand on its tokens as they come."""
        try:
            async with self._http.stream("POST", "/v1/completions", json=asked) as answer:
                if not answer.is_success:
                    self._come.put(Token(key, 0, "refused", refusal=_refusal(await answer.aread())))
                    return
                async for token in _tokens(key, answer.aiter_lines()):
                    self._come.put(token)
        except (httpx.HTTPError, ValueError, LookupError):
            log.exception("vllm.broke_off")
            if self._process.poll() is not None:
                self._die(_EXIT_CODE)  # a replica without its engine is none
            self._come.put(None)


def _asked(prompt: Sequence[int], sampling: Sampling) -> dict[str, Any]:
    """A text as vLLM is asked for it, so that nothing but `sampling` ends or changes it."""
    asked: dict[str, Any] = {
        "model": "it", "prompt": list(prompt), "stream": True, "return_token_ids": True,
        "max_tokens": sampling.most - len(sampling.told), "temperature": sampling.temperature,
        "top_p": sampling.top_p, "seed": sampling.seed, "ignore_eos": True, "stop_token_ids": sorted(sampling.ends),
        "frequency_penalty": sampling.frequency_penalty, "presence_penalty": sampling.presence_penalty,
    }  # fmt: skip
    if sampling.logprobs is not None:
        asked |= {"logprobs": sampling.logprobs, "return_tokens_as_token_ids": True}
    if sampling.schema is not None:
        asked["structured_outputs"] = {"json": json.loads(sampling.schema)}
    return asked


async def _tokens(key: int, lines: AsyncIterator[str]) -> AsyncIterator[Token]:
    """The tokens in a stream of events."""
    async for line in lines:
        if not line.startswith("data: {"):
            continue
        choice = json.loads(line.removeprefix("data: "))["choices"][0]
        ids, logprobs, end = choice["token_ids"], choice.get("logprobs"), choice.get("finish_reason")
        for place, id in enumerate(ids):
            over = end if place == len(ids) - 1 else None
            if logprobs is None:
                yield Token(key, id, over)
            else:
                top = tuple((_id(word), value) for word, value in logprobs["top_logprobs"][place].items())
                yield Token(key, id, over, logprobs["token_logprobs"][place], top)


def _id(word: str) -> int:
    return int(word.removeprefix(_ID))


def _refusal(body: bytes) -> str:
    """Why it does not begin a text, in its own words."""
    try:
        return f"vllm does not take this: {json.loads(body)['error']['message']}"[:300]
    except (ValueError, LookupError, TypeError):
        return "vllm does not take this"
