"""The body of a reply on its way to the caller, piece by piece.

A replica that breaks off here is held to account too. Where the answer can be gone on with (`resume.py`), another
replica goes on, as often as the service has retries and its budget allows: a request that breaks every replica it
comes to must not go round for ever. The caller sees one answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.health import Evidence
from modelhall.gateway.reply import Failure, Reply
from modelhall.gateway.resume import Story


class Source:
    """Where an answer comes from."""

    __slots__ = ("endpoint", "reply", "resumes")

    def __init__(self, endpoint: Endpoint, reply: Reply, resumes: bool = False) -> None:
        self.endpoint = endpoint
        self.reply = reply
        self.resumes = resumes
        """Whether it can be gone on with, and began in the middle if it was asked to (`resume.py`)."""


GoOn = Callable[[bytes, Endpoint], Awaitable[Source | None]]
"""Asks for the rest with a body of a request, of any replica but one; None when there is no going on. Raises Failure
or NotNow."""


class Relay:
    """The pieces as the caller is to have them."""

    def __init__(
        self, source: Source, now: Callable[[], float], story: Story | None = None, go_on: GoOn | None = None
    ) -> None:
        """Without a `story` what breaks off stays broken."""
        self._source = source
        self._now = now
        self._story = story
        self._go_on = go_on

    def __aiter__(self) -> Relay:
        return self

    async def __anext__(self) -> bytes:
        story = self._story
        while True:
            try:
                chunk = await self._source.reply.__anext__()
            except StopAsyncIteration:
                if story is None or story.over:
                    raise
                name = self._source.endpoint.name
                await self._from_another(
                    Failure(f"replica {name} ended in the middle of its answer", Evidence.BAD)
                )
            except Failure as failure:
                await self._from_another(failure)
            else:
                if story is None:
                    return chunk
                if told := story.pass_on(chunk):
                    return told

    async def aclose(self) -> None:
        self._source.reply.close()

    async def _from_another(self, failure: Failure) -> None:
        """Take the rest from another replica, if there is a rest; raises why not."""
        self._source.endpoint.failed(failure.evidence, failure.message, self._now())
        story = self._story
        if story is None or self._go_on is None:
            raise failure
        if story.over:
            raise StopAsyncIteration
        resumes = self._source.resumes
        rest = story.go_on(resumes=resumes)
        found = await self._go_on(rest, self._source.endpoint) if rest is not None else None
        if found is None:
            raise failure
        story.goes_on(anew=not (resumes and found.resumes))
        self._source = found
