"""What a request for texts took, read off what the replica says of it, without reading the rest.

After each event of a stream stands a comment `: IN OUT SECONDS` or `: IN OUT SECONDS CACHED`, and an answer in one
piece ends with its usage; so there is an account of everything that was told, also where the caller went away half
way.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from modelhall.gateway.messages import Chunks, Response
from modelhall.gateway.record import Record

LONGEST_ACCOUNT = 80
"""Bytes of a comment; also of what may be left of one at the end of a chunk."""
LONGEST_USAGE = 256
_NUMBER = rb"(\d{1,15})"
_SECONDS = rb"(\d{1,9}\.\d{1,9}(?:e-\d\d?)?)"
_ACCOUNT = re.compile(
    rb"\n: " + _NUMBER + b" " + _NUMBER + b" " + _SECONDS + rb"(?: (?P<cached>\d{1,15}))?\n"
)
_CACHED = re.compile(rb'"cached_tokens": ?(?P<cached>\d{1,15})')
_USAGE = re.compile(
    rb'"prompt_tokens": ?'
    + _NUMBER
    + rb'.*"completion_tokens": ?'
    + _NUMBER
    + rb'.*"compute_s": ?'
    + _SECONDS
)


def metered(response: Response, record: Record, now: Callable[[], float]) -> Response:
    """The same response; what it took comes into the record, of a stream as it passes."""
    if isinstance(response.body, bytes):
        end = response.body[-LONGEST_USAGE:]
        # A quick look, since replicas that are not ours do not say it; `in` takes longer to find it is no number.
        if end.find(b'"compute_s"') >= 0:
            _take(_USAGE.search(end), _CACHED.search(end), record)
    else:
        response.body = _Metered(response.body, record, now)
    return response


class _Metered:
    """A stream on its way to the caller."""

    def __init__(self, chunks: Chunks, record: Record, now: Callable[[], float]) -> None:
        self._chunks = chunks
        self._record = record
        self._now = now
        self._end = b"\n"
        """Of what has passed."""
        self._account = b""
        """The last comment that may be one."""

    def __aiter__(self) -> _Metered:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._chunks.__anext__()
        if self._record.first_token_s is None and not chunk.startswith(b":"):  # no sign of life
            self._record.first_token_s = self._now() - self._record.started
        data = self._end + chunk
        place = data.rfind(b"\n: ")
        if place >= 0 and _ACCOUNT.match(found := data[place : place + LONGEST_ACCOUNT]):
            self._account = found
        self._end = data[-LONGEST_ACCOUNT:]
        return chunk

    async def aclose(self) -> None:
        found = _ACCOUNT.match(self._account)
        _take(found, found, self._record)
        await self._chunks.aclose()


def _take(found: re.Match[bytes] | None, cached: re.Match[bytes] | None, record: Record) -> None:
    if found is None:
        return
    record.tokens_in, record.tokens_out = int(found[1]), int(found[2])
    record.weight = float(found[3])
    if cached is not None and cached["cached"] is not None:
        record.tokens_cached = min(int(cached["cached"]), record.tokens_in)
