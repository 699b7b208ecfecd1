"""The OpenAI API of one replica: completions for chats and for texts, and vectors of texts.

A caller who goes away is let go of at once, with all that the engine kept for him. While an answer takes its time,
signs of life are sent, so that silence means that the replica hangs: a comment in a stream, a blank before JSON.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modelhall.core.errors import HallError, Rejected
from modelhall.core.openai_error import shaped
from modelhall.serving.engines import Token
from modelhall.serving.generation.asked import Asked, Chat, Completion, Embeddings, read
from modelhall.serving.generation.embedding import embeddings
from modelhall.serving.generation.planned import Planned, Teller, plan
from modelhall.serving.generation.resumed import RESUMES
from modelhall.serving.generation.stream import Stream
from modelhall.serving.generation.told import Telling
from modelhall.serving.generation.worker import Worker
from modelhall.serving.named import asked_of

ALIVE_S = 2.0
"""As long as nothing else is sent, a sign of life is sent so often."""
MOST_TIMEOUT_S = 24 * 3600.0
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
TIMEOUT = "x-request-timeout-s"
"""The header in which a caller says how long he waits at most."""


class Generation:
    """Answers requests for completions of one version, and of the adapters beside it."""

    def __init__(
        self,
        teller: Teller,
        worker: Worker,
        *,
        adapters: Mapping[str, Teller] | None = None,
        now: Callable[[], float] = time.time,
        draw: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self.worker = worker
        self._tellers = {**(adapters or {}), "": teller}
        self._now = now
        self._draw = draw
        self._aside = asyncio.Semaphore(1)
        """For what does not go through the worker: one request at a time, so that those who are told texts wait for
        little."""

    def routes(self, body_of: Callable[[Request], Any]) -> list[Route]:
        """`body_of` awaits the checked body of a request."""

        async def chat(request: Request) -> Response:
            return await self._answer(request, read(await body_of(request), Chat))

        async def text(request: Request) -> Response:
            return await self._answer(request, read(await body_of(request), Completion))

        async def vectors(request: Request) -> Response:
            asked = read(await body_of(request), Embeddings)
            teller = asked_of(request, self._tellers)
            async with self._aside:
                return JSONResponse(await asyncio.to_thread(embeddings, asked, teller))

        return [
            Route(path, does, methods=["POST"])
            for path, does in zip(PATHS, (chat, text, vectors), strict=True)
        ]

    async def _answer(self, request: Request, asked: Chat | Completion) -> Response:
        timeout_s = _timeout(request)
        teller = asked_of(request, self._tellers)
        # Aside, since reading a long prompt would keep all others waiting.
        planned = await asyncio.to_thread(plan, asked, teller, self._draw)
        scored, spent_s = await self._score(asked, planned, teller)
        telling = Telling(
            asked, planned, teller.tokenizer, id=request.headers.get("x-request-id") or secrets.token_hex(12),
            created=int(self._now()), version=teller.version, scored=scored,
        )  # fmt: skip
        stream = Stream(self.worker, planned.wanted)
        stream.compute_s += spent_s
        return _Answer(asked, telling, stream, timeout_s, resumable=planned.resumable)

    async def _score(
        self, asked: Chat | Completion, planned: Planned, teller: Teller
    ) -> tuple[list[list[Token]], float]:
        """The prompts with their own probabilities, where those are wanted, and the processor seconds they took."""
        if not isinstance(asked, Completion) or asked.logprobs is None or not asked.is_scored:
            return [], 0.0
        most = asked.logprobs

        def score() -> tuple[list[list[Token]], float]:
            begun_s = time.thread_time()
            found = [teller.engine.score(prompt, most, teller.adapter) for prompt in planned.prompts]
            return found, time.thread_time() - begun_s

        async with self._aside:
            return await asyncio.to_thread(score)


class _Answer(Response):
    """The answer on its way. What goes wrong before its first byte is told as any other error."""

    def __init__(
        self, asked: Asked, telling: Telling, stream: Stream, timeout_s: float, *, resumable: bool
    ) -> None:
        self.background = None
        self._asked = asked
        self._telling = telling
        self._stream = stream
        self._timeout_s = timeout_s
        self._stream_headers = [(RESUMES.encode(), b"1")] if resumable else []
        self._begun = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        work = asyncio.ensure_future(self._in_time(send))
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            gone.cancel()
            self._stream.close()

    async def _in_time(self, send: Any) -> None:
        late = f"it was not told within the {self._timeout_s:g} s that the caller waits"
        tell = self._tell_events if self._asked.stream else self._tell_whole
        try:
            async with asyncio.timeout(self._timeout_s):
                await tell(send)
        except TimeoutError:
            await self._fail(Rejected(late, status=408), send)
        except HallError as error:
            await self._fail(error, send)

    async def _fail(self, error: HallError, send: Any) -> None:
        if not self._begun:
            raise error
        if not self._asked.stream:
            raise ConnectionError(str(error))  # a body that breaks off, so that nobody takes it for an answer
        said = f"data: {json.dumps(shaped(error))}\n\n"
        await send({"type": "http.response.body", "body": said.encode(), "more_body": False})

    async def _tell_events(self, send: Any) -> None:
        telling, stream = self._telling, self._stream
        introduced = False
        while not telling.is_over:
            told = await stream.more(ALIVE_S)
            events = b"" if told else b": still here\n\n"
            if not self._begun:
                await self._begin(send, b"text/event-stream; charset=utf-8", self._stream_headers)
            if told and not introduced:
                introduced = True
                if first := telling.begin():
                    events += telling.event(first, stream.compute_s)
            if choices := telling.changed(self._feed(told)):
                events += telling.event(choices, stream.compute_s)
            if telling.is_over:
                events += telling.last_events(stream.compute_s)
            if events:
                await send({"type": "http.response.body", "body": events, "more_body": not telling.is_over})

    async def _tell_whole(self, send: Any) -> None:
        telling, stream = self._telling, self._stream
        while not telling.is_over:
            told = await stream.more(ALIVE_S)
            self._feed(told)
            if not told:
                if not self._begun:
                    await self._begin(send, b"application/json")
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
        body = json.dumps(telling.whole(stream.compute_s)).encode()
        if not self._begun:
            await self._begin(send, b"application/json", [(b"content-length", b"%d" % len(body))])
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _begin(self, send: Any, kind: bytes, more: Any = ()) -> None:
        self._begun = True
        headers = [(b"content-type", kind), (b"cache-control", b"no-store"), *more]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    def _feed(self, told: Any) -> list[int]:
        """Take in what came; the places of the texts it is of."""
        for place, token in told:
            if self._telling.feed(place, token):
                self._stream.end(place)
        return list(dict.fromkeys(place for place, _ in told))


def refusing(service: str, task: str) -> list[Route]:
    """The same paths at a replica whose task tells no texts."""

    async def refuse(request: Request) -> Response:
        raise Rejected(
            f"service {service!r} does {task}, and tells no texts; ask it at /v2/models/{service}/infer",
            field="model",
        )

    return [Route(path, refuse, methods=["POST"]) for path in PATHS]


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _timeout(request: Request) -> float:
    """How long the caller waits at most; raises Rejected."""
    given = request.headers.get(TIMEOUT)
    if given is None:
        return MOST_TIMEOUT_S
    try:
        timeout_s = float(given)
    except ValueError:
        timeout_s = -1.0
    if not 0 < timeout_s <= MOST_TIMEOUT_S:
        raise Rejected(f"{TIMEOUT} is a number of seconds up to {MOST_TIMEOUT_S:g}, not {given[:40]!r}")
    return timeout_s
