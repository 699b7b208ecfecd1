"""What is metered of a stream does not depend on how it was cut into chunks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from modelhall.core.kinds import Key
from modelhall.gateway.messages import Response
from modelhall.gateway.metering import metered
from modelhall.gateway.metrics import Metrics
from modelhall.gateway.outbox import Outbox
from modelhall.gateway.record import Record
from modelhall.gateway.routes import Routes

pytestmark = pytest.mark.anyio
STREAM = b"".join(
    [b": still here\n\n"]
    + [b'data: {"text": "' + b"x: 9 9 9.0" * size + b'"}\n\n: 5 %d 0.%d\n\n' % (told, told)
       for told, size in enumerate((0, 1, 40, 500), 1)]
    + [b"data: [DONE]\n\n"]
)  # fmt: skip


class Pieces:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        pass


async def account(pieces: list[bytes]) -> tuple[int | None, float]:
    record = Record(at=0.0, started=0.0)
    response = metered(Response(status=200, headers=(), body=Pieces(iter(pieces))), record, lambda: 1.0)
    assert not isinstance(response.body, bytes)
    passed = [piece async for piece in response.body]
    assert passed == pieces
    await response.body.aclose()
    return record.tokens_out, record.weight


async def test_however_it_is_cut_the_last_account_counts() -> None:
    rng = random.Random(5)
    for _ in range(300):
        cuts = sorted({0, len(STREAM), *(rng.randrange(len(STREAM)) for _ in range(rng.randrange(60)))})
        assert await account([STREAM[a:b] for a, b in itertools.pairwise(cuts)]) == (4, 0.4)
    assert await account([bytes([byte]) for byte in STREAM]) == (4, 0.4)


@pytest.mark.parametrize("told", [1, 2, 3, 4])
async def test_what_was_told_up_to_the_cut_counts(told: int) -> None:
    """Also where most of the next event has come already."""
    end = STREAM.index(b"0.%d\n\n" % told) + 5
    assert await account([STREAM[:end]]) == (told, told / 10)
    longer = STREAM[end : end + 200].split(b"\n: ")[0]
    assert await account([STREAM[:end], longer]) == (told, told / 10)


async def test_what_a_replica_had_read_before_is_told_by_streams_and_by_whole_answers() -> None:
    whole = b'{"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": %d}, '
    whole += b'"completion_tokens": 2, "compute_s": 0.5}}'
    for told, cached in ((7, 7), (10**6, 9)):  # never more than it has read
        record = Record(at=0.0, started=0.0)
        metered(Response(status=200, headers=(), body=whole % told), record, lambda: 1.0)
        assert (record.tokens_in, record.tokens_out, record.tokens_cached) == (9, 2, cached)
    record = Record(at=0.0, started=0.0)
    response = metered(
        Response(status=200, headers=(), body=Pieces(iter([b"x\n\n: 9 2 0.5 7\n\n"]))), record, lambda: 1.0
    )
    assert not isinstance(response.body, bytes)
    assert [piece async for piece in response.body]
    await response.body.aclose()
    assert (record.tokens_in, record.tokens_out, record.tokens_cached) == (9, 2, 7)


async def test_what_says_nothing_of_it_is_metered_as_unknown() -> None:
    assert await account([b'data: {"text": "\\n: 1 2 3.0\\n"}\n\n']) == (None, 0.0)


async def test_tokens_are_counted_by_service_with_those_that_had_been_read_before() -> None:
    metrics, record = Metrics(), Record(at=0.0, started=0.0)
    record.service, record.status = Key("service", "default", "bard"), 200
    record.tokens_in, record.tokens_out, record.tokens_cached = 40, 2, 30
    for _ in range(2):
        metrics.over(record, 0.1)
    told = metrics.render(Routes(Outbox(lambda lines: None))).decode()
    for kind, count in (("in", 80), ("out", 4), ("cached", 60)):
        assert f'modelhall_gateway_tokens_total{{service="default/bard",kind="{kind}"}} {count}\n' in told
