"""What a request for texts took, read off the end of what the replica told, without reading the rest.

A stream's events each end with `id: IN OUT SECONDS`, an answer in one piece with its usage; so there is an account of
everything that was told, also where the caller went away half way.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from modelhall.gateway.messages import Chunks, Response
from modelhall.gateway.record import Record

TAIL_BYTES = 256
_NUMBER = rb"(\d{1,15})"
_SECONDS = rb"(\d{1,9}\.\d{1,9}(?:e-\d\d?)?)"
_EVENT = re.compile(rb"\nid: " + _NUMBER + b" " + _NUMBER + b" " + _SECONDS + rb"\n")
_ANSWER = re.compile(
    rb'"prompt_tokens": ?'
    + _NUMBER
    + rb'.*"completion_tokens": ?'
    + _NUMBER
    + rb'.*"compute_s": ?'
    + _SECONDS
)


def metered(response: Response, record: Record, now: Callable[[], float]) -> Response:
    """The same response; what it took comes into the record, of a stream when it is over or was left."""
    if isinstance(response.body, bytes):
        _take(_ANSWER.search(response.body[-TAIL_BYTES:]), record)
    else:
        response.body = _Metered(response.body, record, now)
    return response


class _Metered:
    """A stream on its way to the caller."""

    def __init__(self, chunks: Chunks, record: Record, now: Callable[[], float]) -> None:
        self._chunks = chunks
        self._record = record
        self._now = now
        self._tail = b""

    def __aiter__(self) -> _Metered:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._chunks.__anext__()
        if self._record.first_token_s is None and not chunk.startswith(b":"):  # no sign of life
            self._record.first_token_s = self._now() - self._record.started
        self._tail = (self._tail + chunk if len(chunk) < TAIL_BYTES else chunk)[-TAIL_BYTES:]
        return chunk

    async def aclose(self) -> None:
        found = None
        for found in _EVENT.finditer(self._tail):  # noqa: B007 - the last one
            pass
        _take(found, self._record)
        await self._chunks.aclose()


def _take(found: re.Match[bytes] | None, record: Record) -> None:
    if found is not None:
        record.tokens_in, record.tokens_out = int(found[1]), int(found[2])
        record.weight = float(found[3])
