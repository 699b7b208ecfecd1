"""Callers who take their time, or go away."""

from __future__ import annotations

import asyncio

import pytest
from stand_ins import Seen, eventually, http, request, silently, well

pytestmark = pytest.mark.anyio


async def test_half_a_head_and_then_silence_is_refused(hall):
    caller = await hall.caller()
    caller.send(request()[:40])
    answer = await caller.answer()
    assert answer.status == 408
    assert await caller.ended()


async def test_a_head_that_drips_in_does_not_hold_a_connection_for_ever(hall):
    caller = await hall.caller()

    async def drip():
        for byte in request():
            caller.send(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.ensure_future(drip())
    assert (await caller.answer()).status == 408
    dripping.cancel()


async def test_half_a_body_and_then_silence_is_refused_and_reaches_no_replica(hall):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    caller.send(request(body=b"x" * 100)[:-50])
    assert (await caller.answer()).status == 408
    assert replica.seen == []


async def test_a_body_that_drips_in_does_not_hold_a_connection_for_ever(hall):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    data = request(body=b"x" * 1000)

    async def drip():
        caller.send(data[:-1000])
        for byte in data[-1000:]:
            caller.send(bytes([byte]))
            await asyncio.sleep(0.02)  # far more often than silence is forgiven

    dripping = asyncio.ensure_future(drip())
    answer = await caller.answer()
    dripping.cancel()
    assert (answer.status, replica.seen) == (408, [])
    assert "bytes a second" in answer.error


async def test_a_refused_caller_who_goes_on_sending_is_not_cut_off(hall):
    caller = await hall.caller()
    caller.send(b"rubbish\r\n\r\n")
    for _ in range(12):  # longer than a silent one is waited for
        await asyncio.sleep(0.1)
        caller.send(b"more")
        await caller.writer.drain()
    assert (await caller.answer()).status == 400


async def test_a_connection_with_nothing_to_do_is_closed_without_a_word(hall):
    caller = await hall.caller()
    caller.send(request("/v2", b"", method="GET"))
    await caller.answer()
    assert await caller.ended()


async def test_a_slow_replica_is_not_the_callers_fault(hall):
    async def late(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.8)  # longer than any patience with callers
        await well(seen, writer)

    await hall.serving(late)
    assert (await hall.ask()).status == 200


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_caller_who_goes_away_frees_the_replica(hall, how):
    (replica,) = await hall.serving(silently, try_timeout_s=60)
    caller = await hall.caller()
    caller.send(request())
    await eventually(lambda: replica.seen)
    getattr(caller, how)()
    await eventually(lambda: replica.gone == 1)
    await eventually(lambda: hall.usage)
    assert hall.usage[0].status == 499
    assert 'replicas{service="default/digits",state="healthy"} 1' in await hall.metrics()


async def test_a_caller_who_goes_away_in_the_middle_of_a_stream_frees_the_replica(hall):
    async def endlessly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        while True:
            writer.write(b"9\r\ndata: x\n\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    (replica,) = await hall.serving(endlessly)
    caller = await hall.caller()
    caller.send(request())
    await caller.reader.readuntil(b"data: x")
    caller.abort()
    await eventually(lambda: replica.gone == 1)
    await eventually(lambda: hall.usage)
    assert hall.usage[0].status == 499


async def test_a_caller_who_reads_slowly_slows_the_replica_down(hall):
    sent = 0

    async def plenty(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    await hall.serving(plenty)
    caller = await hall.caller()
    caller.send(request())
    await caller.reader.readuntil(b"\r\n\r\n")
    assert await asyncio.wait_for(_settled(lambda: sent), 10) < 50_000_000
    await caller.reader.readexactly(1_000_000)


async def test_a_caller_who_does_not_read_at_all_is_given_up(hall):
    await hall.serving(lambda seen, writer: _plenty(writer))
    caller = await hall.caller()
    caller.send(request())
    caller.writer.transport.pause_reading()
    await eventually(lambda: hall.usage)
    assert hall.usage[0].status == 499


async def _plenty(writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"x" * 50_000_000))
    await writer.drain()


async def _settled(value) -> int:
    """The value once it has stopped growing."""
    before = -1
    while before != value():
        before = value()
        await asyncio.sleep(0.2)
    return before
