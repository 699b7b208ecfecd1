"""The gateway and its replicas as processes that are killed, stopped, and told to end."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import psutil
import pytest
from programs import Program, Start
from stand_ins import Caller, eventually, request, silently

from modelhall.core.errors import Rejected
from modelhall.gateway.server import Server

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


async def _keep_asking(gateway: Program, stop: asyncio.Event, statuses: list[int]) -> None:
    """Ask on one connection until told to stop, and note what came."""
    caller = await gateway.caller()
    while not stop.is_set():
        caller.send(request(body=b"x" * 1000))
        statuses.append((await caller.answer()).status)
    caller.close()


async def _metrics(caller: Caller) -> str:
    caller.send(request("/metrics", b"", method="GET"))
    return (await caller.answer()).body.decode()


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_64_callers_lose_nothing_when_a_replica_dies_or_hangs(start: Start, tmp_path, fault):
    replicas = [start("replica_process.py") for _ in range(3)]
    gateway = start("gateway_process.py", tmp_path, 0, *(replica.address for replica in replicas))
    stop, statuses = asyncio.Event(), []
    callers = [asyncio.ensure_future(_keep_asking(gateway, stop, statuses)) for _ in range(64)]
    await eventually(lambda: len(statuses) > 200, 30)
    replicas[0].signal(fault)
    so_far = len(statuses)
    await eventually(lambda: len(statuses) > so_far + 500, 60)
    stop.set()
    await asyncio.gather(*callers)
    assert set(statuses) == {200}
    lines = [line for file in tmp_path.glob("usage-*") for line in file.read_text().splitlines()]
    assert len(lines) == len(statuses)


async def test_told_to_end_it_answers_what_was_asked_and_takes_nothing_new(start: Start, tmp_path):
    hung = start("replica_process.py")
    gateway = start("gateway_process.py", tmp_path, 0, hung.address)
    idle, busy = await gateway.caller(), await gateway.caller()
    idle.send(request("/v2", b"", method="GET"))
    assert (await idle.answer()).status == 200
    hung.signal(signal.SIGSTOP)
    busy.send(request())
    while "in_flight 2" not in (await _metrics(idle)):
        await asyncio.sleep(0.01)
    gateway.signal(signal.SIGTERM)
    assert await idle.ended()
    with pytest.raises(ConnectionError):
        await gateway.caller()
    hung.signal(signal.SIGCONT)
    answer = await busy.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert gateway.process.wait(timeout=10) == 0


async def test_a_port_in_use_is_said_to_be_in_use(hall):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Rejected, match=f"127.0.0.1:{port} is in use"):
            await Server(hall.gateway, str).listen("127.0.0.1", port)


async def test_an_address_that_is_not_ours_cannot_be_had(hall):
    with pytest.raises(Rejected, match="cannot be had"):
        await Server(hall.gateway, str).listen("192.0.2.1", 0)


async def test_who_has_not_had_his_answer_when_patience_ends_is_cut_off(hall):
    (replica,) = await hall.serving(silently, try_timeout_s=60)
    caller = await hall.caller()
    caller.send(request())
    await eventually(lambda: replica.seen)
    await hall.server.close(grace_s=0.05)
    assert await caller.ended()
    await eventually(lambda: replica.gone)


async def test_an_idle_gateway_is_light_and_quiet(start: Start, tmp_path):
    replica = start("replica_process.py")
    gateway = start("gateway_process.py", tmp_path, 0, replica.address)
    caller = await gateway.caller()
    caller.send(request())
    assert (await caller.answer()).status == 200
    process = psutil.Process(gateway.process.pid)
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(3)
    assert sum(process.cpu_times()[:2]) - before < 0.15
    assert process.memory_info().rss < 45e6
    assert not {"fastapi", "httpx", "torch"} & {Path(m.path).stem for m in process.memory_maps()}
