"""An agent's process: it works until it is told to end. What it started goes on, unless it is told otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.app.clock import SystemClock
from modelhall.app.monitoring.instruments import Instruments, sensors_of_this_machine
from modelhall.core.errors import Denied
from modelhall.core.ports.clock import Clock
from modelhall.doors.agent.home import AgentHome, Membership
from modelhall.doors.agent.line import Line
from modelhall.doors.agent.moving import Moving
from modelhall.doors.agent.sensing import Sensing
from modelhall.doors.agent.worker import Handed, Worker
from modelhall.doors.wire import Wire
from modelhall.settings import Settings
from modelhall.trust.tls import client_context


async def told_to_end(_: Worker) -> None:
    """Come back when a signal says that the agent is to end."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    with contextlib.suppress(asyncio.CancelledError):
        await told.wait()


async def run(
    home: AgentHome,
    membership: Membership,
    settings: Settings,
    *,
    address: str,
    announce: Callable[[], None] = lambda: None,
    until: Callable[[Worker], Awaitable[None]] = told_to_end,
) -> None:
    """Work as the node of `membership` until `until` comes back; `address` is where its replicas and workers are
    reached. Raises Denied when the hall does not know this node any more."""
    tls = client_context(home.ca if home.ca.exists() else settings.ca)
    wire = Wire(membership.hall, membership.token, tls=tls)
    line = Line(wire, membership.name)
    clock = SystemClock()
    sensing = Sensing(Instruments(sensors_of_this_machine(home.folder)), clock, settings.look_s)
    worker = _worker(home, membership, settings, line, address, sensing, clock)
    moving = Moving(home, line, worker.alive)
    worker.moves_by(moving)
    parts = [
        asyncio.ensure_future(part) for part in (worker.run(), moving.run(), sensing.run(), until(worker))
    ]
    announce()
    done, others = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    for part in others:
        part.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    wire.close()
    try:
        for part in done:
            part.result()
    except Denied as error:
        raise Denied(
            f"{error.message}; node {membership.name} is not known any more: `hall node join` on the hall's "
            f"machine has this one join anew, once {home.folder / 'node.json'} is removed",
            status=error.status,
        ) from None


def _worker(
    home: AgentHome, membership: Membership, settings: Settings, line: Line, address: str,
    sensing: Sensing, clock: Clock,
) -> Worker:  # fmt: skip
    handed = Handed()
    launcher = ProcessLauncher(
        home.folder / "runs",
        blobs=f"node://{home.folder / 'blobs'}",
        cache=home.folder / "cache",
        environment=settings.environment,
        secrets=handed,
        hall_secrets=handed.hall_secrets,
        keys=handed.keys_of,
        hidden=home.folder,
        sources=settings.source_rules,
        address=address,
    )
    return Worker(
        home, name=membership.name, launcher=launcher, handed=handed, say=line.beat, clock=clock,
        sensed=sensing.take,
    )  # fmt: skip
