"""The process of a control plane: the hall, its API, and the gateway process beside it, until told to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

import uvicorn

from modelhall.app import home
from modelhall.app.hall import Hall
from modelhall.app.listening import Listening
from modelhall.core import failpoints, files
from modelhall.core.entrance import enter
from modelhall.core.errors import Rejected
from modelhall.doors.api import create
from modelhall.doors.api.connection import Connection
from modelhall.doors.front import Front
from modelhall.settings import Settings

GRACE_S = 3
LOOK_S = 0.1
AUDIT_LOOK_S = 2.0


async def run(
    settings: Settings,
    front: Front,
    listening: Listening,
    bound: socket.socket,
    announce: Callable[[Hall], None],
    *,
    standby: bool,
) -> None:
    """Open the hall and serve it on the bound socket; `announce` is called when all of it answers."""
    try:
        hall = Hall(settings)
    except BaseException:
        await asyncio.to_thread(front.withdraw)
        raise
    server = _Server(hall, listening)
    _end_on_signals(server)
    work = [
        asyncio.create_task(part)
        for part in (
            hall.plane.stand(),
            hall.plane.drive(),
            hall.accounts.keep(lambda: hall.leads),
            hall.watching.run(lambda: hall.leads, settings.look_s),
            hall.alarms.run(),
            hall.feed.run(),
            hall.follower.follow(),
            hall.auditing.keep_watch(AUDIT_LOOK_S),
            hall.signing_in.sessions.keep_swept(lambda: hall.leads),
            hall.guarding.watchman.run(lambda: hall.leads),
            hall.guarding.doorkeeper(listening).run(),
        )
    ]
    try:
        hall.addresses = {
            "address": listening.url(bound.getsockname()[1]), "gateway": await front.address()
        }  # fmt: skip
        work += [
            asyncio.create_task(front.watch(lambda: hall.leads)),
            asyncio.create_task(_sign(hall, standby=standby)),
        ]
        for task in work:
            task.add_done_callback(lambda done: _end_with(done, server))
        announce(hall)
        failpoints.reach("serve.announced")
        await server.serve(sockets=[bound])
    finally:
        done = await _end(hall, front, work)
    for error in done:
        if isinstance(error, Exception):
            raise error


async def _end(hall: Hall, front: Front, work: list[asyncio.Task[None]]) -> list[BaseException | None]:
    """End what this control plane does. While another one stands by, what runs goes on under that one."""
    for task in work:
        task.cancel()
    done = await asyncio.gather(*work, return_exceptions=True)
    failpoints.reach("serve.ending")
    folder = hall.settings.home
    led = hall.leads or hall.settings.is_alone
    last = led and not any(folder.glob(home.STANDBY_FILES))
    if last:
        await hall.stop_runs()
        failpoints.reach("serve.runs-stopped")
    await hall.close()
    failpoints.reach("serve.closed")
    if led:
        (folder / home.HALL_FILE).unlink(missing_ok=True)
    if last:
        await asyncio.to_thread(front.stop)
    return done


async def _sign(hall: Hall, *, standby: bool) -> None:
    """Say where the hall is whenever this control plane comes to lead it, and keep the home's lock from then on."""
    folder = hall.settings.home
    with contextlib.ExitStack() as held:
        while True:
            while not hall.leads:
                await asyncio.sleep(LOOK_S)
            home.standby_file(folder).unlink(missing_ok=True)
            files.write_json(folder / home.HALL_FILE, {"pid": os.getpid(), **hall.addresses})
            failpoints.reach("serve.signed")
            while hall.leads:
                # Whoever led before may be taking his time to end.
                with contextlib.suppress(Rejected):
                    if standby:
                        held.enter_context(home.lock(folder))
                        standby = False
                await asyncio.sleep(LOOK_S)


class _Server(uvicorn.Server):
    """The API's server. What watches the hall is told that it ends, and is not waited for longer."""

    def __init__(self, hall: Hall, listening: Listening) -> None:
        config = uvicorn.Config(
            create(hall), log_level="warning", access_log=False, lifespan="off", server_header=False,
            timeout_graceful_shutdown=GRACE_S, http=Connection, ws="none", proxy_headers=False,
        )  # fmt: skip
        super().__init__(config)
        self._hall = hall
        self._tls = listening.tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept by an entrance of ours, which turns away who may not come before it reads a byte."""
        await super().startup(sockets=[])
        lets_in = self._hall.guarding.gate.lets_in
        self._entrances = [
            await enter(one, self._connection, lets_in=lets_in, tls=self._tls) for one in sockets or ()
        ]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for entrance in self._entrances:
            entrance.close()
        self._hall.feed.close()
        await super().shutdown(sockets)

    def _connection(self) -> Connection:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _end_on_signals(server: uvicorn.Server) -> None:
    """End the server, and after it the rest. Uvicorn's own handlers would send the signal again when the server
    has ended, and the rest would never come to its end."""
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: setattr(server, "should_exit", True))


def _end_with(task: asyncio.Task[None], server: uvicorn.Server) -> None:
    """A part of the hall that ends by an error ends the hall, so that it is seen and started again."""
    if not task.cancelled() and task.exception() is not None:
        server.should_exit = True
