"""The response cache: what was answered before is answered again, without asking a replica.

Only what comes out the same each time is kept, unless the service says otherwise, and found again only by the same
request for the same version of the same service. Of equal requests that come at once one is sent, and the others wait
for its answer. A cache that is gone, hung or wrong costs a request at most a bounded wait, and mostly nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from modelhall.core.errors import NotNow
from modelhall.core.kinds.limits import Caching
from modelhall.core.ports.cache import Cache
from modelhall.gateway.forward import Call
from modelhall.gateway.kept_answer import Kept, decoded, encoded, name_of
from modelhall.gateway.messages import Chunks, Request, Response
from modelhall.gateway.reckoning import reckon
from modelhall.gateway.record import Record

log = logging.getLogger(__name__)

WAIT_S = 0.05
"""For the cache to say whether it has an answer."""
PUT_WAIT_S = 1.0
"""For it to take one."""
FIRST_LEFT_ALONE_S = 1.0
LONGEST_LEFT_ALONE_S = 30.0
"""A cache that cannot be reached is not asked for so long."""
MOST_PUTS = 64
"""Answers on their way into the cache; more are not kept."""
STATE = b"x-hall-cache"
DONE = b"data: [DONE]"
EVENT_END = b"\n\n"

Ask = Callable[[], Awaitable[Response]]
"""Has a replica answer."""


class Answers:
    """All that was answered lately, of all services that keep answers."""

    def __init__(
        self, cache: Cache, key: bytes, now: Callable[[], float], note: Callable[[Record, str], None]
    ) -> None:
        """Names are made with `key`. `note` is told what came of each request: hit, joined, miss or unreached."""
        self._cache = cache
        self._key = key
        self._now = now
        self._note = note
        self._asked: dict[str, asyncio.Future[Kept | None]] = {}
        """What replicas are being asked."""
        self._puts: set[asyncio.Task[None]] = set()
        self._left_alone_s = 0.0
        self._ask_at = 0.0

    @property
    def size_bytes(self) -> int | None:
        return self._cache.size_bytes

    async def answer(self, call: Call, request: Request, body: bytes, record: Record, ask: Ask) -> Response:
        """What was answered before, or else what `ask` brings; raises what that raises."""
        rules = call.route.document.cache
        version = call.version or call.route.version_of(call.adapter)
        if rules is None or version is None:
            return await ask()
        wishes = request.headers.get(b"cache-control", b"").lower()
        reckoned = reckon(request.path, body, reply_tokens=0)
        if b"no-store" in wishes or not (reckoned.repeats or rules.all):
            return await ask()
        place = (*call.route.key, version, call.adapter)
        name = name_of(self._key, place, request, body, reckoned.message)
        if b"no-cache" not in wishes:
            found = await self._found(name, record)
            if found is not None:
                return _again(found, record, self._now)
        return await self._asked_for(name, version, rules, record, ask)

    async def close(self) -> None:
        for task in list(self._puts):
            task.cancel()
        await self._cache.close()

    async def _found(self, name: str, record: Record) -> Kept | None:
        """What was answered before, or is being answered."""
        if (pending := self._asked.get(name)) is not None:
            kept = await asyncio.shield(pending)
            self._note(record, "miss" if kept is None else "joined")
            return kept
        if self._now() < self._ask_at:
            self._note(record, "unreached")
            return None
        try:
            async with asyncio.timeout(WAIT_S):
                found = await self._cache.get(name)
        except (NotNow, TimeoutError) as error:
            self._leave_alone(error)
            self._note(record, "unreached")
            return None
        self._left_alone_s = 0.0
        self._note(record, "miss" if found is None else "hit")
        return None if found is None else decoded(found)

    async def _asked_for(self, name: str, version: str, rules: Caching, record: Record, ask: Ask) -> Response:
        """Have a replica answer, and keep that for those who ask for the same."""
        pending: asyncio.Future[Kept | None] | None = None
        if name not in self._asked:
            pending = self._asked[name] = asyncio.get_running_loop().create_future()
        kept = None
        try:
            response = await ask()
            if response.status == HTTPStatus.OK and record.version.startswith(version):
                response, kept = self._keep(name, rules, response, record)
            response.headers += ((STATE, b"miss"),)
            return response
        finally:
            if pending is not None:
                del self._asked[name]
                pending.set_result(kept)

    def _keep(
        self, name: str, rules: Caching, response: Response, record: Record
    ) -> tuple[Response, Kept | None]:
        """Keep an answer: now, or when it has come to its end."""
        most_bytes, headers = rules.most_kib * 1024, response.headers

        def put(body: bytes, *, streamed: bool) -> Kept:
            kept = Kept(record.version, headers, body, streamed, record.tokens_in, record.tokens_out)
            self._put(name, kept, rules.ttl_s)
            return kept

        if isinstance(response.body, bytes):
            return response, put(response.body, streamed=False) if len(response.body) <= most_bytes else None
        response.body = _Listening(response.body, most_bytes, lambda body: put(body, streamed=True))
        return response, None

    def _put(self, name: str, kept: Kept, ttl_s: float) -> None:
        if len(self._puts) < MOST_PUTS and self._now() >= self._ask_at:
            self._begin(self._cache.put(name, encoded(kept), ttl_s))

    def _begin(self, putting: Coroutine[Any, Any, None]) -> None:
        """Put it there beside everything else: nobody waits for it."""

        async def put() -> None:
            try:
                async with asyncio.timeout(PUT_WAIT_S):
                    await putting
            except (NotNow, TimeoutError) as error:
                log.info("cache.not-kept reason=%s", error or "it took too long")

        task = asyncio.get_running_loop().create_task(put())
        self._puts.add(task)
        task.add_done_callback(self._puts.discard)

    def _leave_alone(self, error: Exception) -> None:
        if not self._left_alone_s:
            log.warning("cache.gone reason=%s", error or "it does not answer")
        self._left_alone_s = min(max(2 * self._left_alone_s, FIRST_LEFT_ALONE_S), LONGEST_LEFT_ALONE_S)
        self._ask_at = self._now() + self._left_alone_s


def _again(kept: Kept, record: Record, now: Callable[[], float]) -> Response:
    """A kept answer, as it was told the first time."""
    record.from_cache, record.version = True, kept.version
    record.tokens_in, record.tokens_out = kept.tokens_in, kept.tokens_out
    body: bytes | Chunks = kept.body
    if kept.streamed:
        record.first_token_s = now() - record.started
        body = _Events(kept.body)
    return Response(status=HTTPStatus.OK, headers=(*kept.headers, (STATE, b"hit")), body=body)


class _Listening:
    """A stream on its way to the caller, which is kept if it comes to its end."""

    def __init__(self, chunks: Chunks, most_bytes: int, keep: Callable[[bytes], object]) -> None:
        self._chunks = chunks
        self._left_bytes = most_bytes
        self._keep = keep
        self._heard: list[bytes] = []
        self._is_over = False

    def __aiter__(self) -> _Listening:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._is_over = True
            raise
        self._left_bytes -= len(chunk)
        if self._left_bytes >= 0:
            self._heard.append(chunk)
        return chunk

    async def aclose(self) -> None:
        await self._chunks.aclose()  # with which its tokens are known
        body = b"".join(self._heard)
        if self._is_over and self._left_bytes >= 0 and DONE in body[-100:]:
            self._keep(body)


class _Events:
    """A kept stream, event by event."""

    def __init__(self, body: bytes) -> None:
        self._left = iter(body.split(EVENT_END)[:-1])

    def __aiter__(self) -> _Events:
        return self

    async def __anext__(self) -> bytes:
        for event in self._left:
            return event + EVENT_END
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Nothing is held."""
