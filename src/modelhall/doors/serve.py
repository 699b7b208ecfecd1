"""`hall up` from the inside: one process for control and API, one for the gateway; and `hall down`.

In a home one control plane leads, and holds its lock. Others may stand by on the same store, and take over when it is
gone (`control/leadership.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import uvicorn

from modelhall.app import gateway, home
from modelhall.app.gateway import HOST
from modelhall.app.hall import Hall
from modelhall.core import failpoints, files
from modelhall.core.errors import Broken, Rejected
from modelhall.doors.api import create
from modelhall.doors.front import Front
from modelhall.settings import Settings

STOP_S = 35.0
GRACE_S = 3
STANDBY_FILES = "standby-*.json"
LOOK_S = 0.1


async def up(settings: Settings, announce: Callable[[Hall], None], *, standby: bool = False) -> None:
    """Run the control plane until it is told to end; `announce` is called when all of it answers.

    Raises Rejected when the home is in use or cannot be written, a port is taken, or nobody can stand by.
    """
    if standby and settings.is_alone:
        raise Rejected(
            "a SQLite store has one control plane; to have another one stand by, give both a store that they can "
            "share, such as MODELHALL_STORE=postgresql://…"
        )
    failpoints.arm(settings.failpoints)
    with _place(settings.home, standby=standby), _listen(settings.port, "--port") as listening:
        hall = Hall(settings)
        front = Front(settings)
        front.start()
        failpoints.reach("serve.gateway-started")
        server = _Server(hall)
        _end_on_signals(server)
        work = [
            asyncio.create_task(part)
            for part in (hall.plane.stand(), hall.plane.drive(), hall.keep_books(), hall.feed.run())
        ]
        try:
            hall.addresses = {
                "address": _url(listening.getsockname()[1]), "gateway": _url(await front.port())
            }  # fmt: skip
            work += [
                asyncio.create_task(front.watch(lambda: hall.leads)),
                asyncio.create_task(_sign(hall, standby=standby)),
            ]
            for task in work:
                task.add_done_callback(lambda done: _end_with(done, server))
            announce(hall)
            failpoints.reach("serve.announced")
            await server.serve(sockets=[listening])
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
    last = led and not any(folder.glob(STANDBY_FILES))
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
            (folder / _standby_file()).unlink(missing_ok=True)
            files.write_json(folder / home.HALL_FILE, {"pid": os.getpid(), **hall.addresses})
            failpoints.reach("serve.signed")
            while hall.leads:
                # Whoever led before may be taking his time to end.
                with contextlib.suppress(Rejected):
                    if standby:
                        held.enter_context(home.lock(folder))
                        standby = False
                await asyncio.sleep(LOOK_S)


def down(settings: Settings) -> bool:
    """Stop the hall in `settings.home`, and what it left running if it was killed; False when nothing ran.

    Raises Broken when it does not end in time.
    """
    for file in settings.home.glob(STANDBY_FILES):
        _stop_process(int(file.stem.partition("-")[2]))
        file.unlink(missing_ok=True)
    running = files.read_json(settings.home / home.HALL_FILE)
    if running is not None and home.is_locked(settings.home):
        _stop_process(running["pid"])
        return True
    if not (settings.home / "lock").exists():
        return False
    return asyncio.run(_clear_up(settings))


def _stop_process(pid: int) -> None:
    deadline = time.monotonic() + STOP_S
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise Broken(f"the hall (process {pid}) does not end; `kill -9 {pid}` ends it")
            time.sleep(0.05)


async def _clear_up(settings: Settings) -> bool:
    """Stop what a hall that was killed has left running."""
    with home.lock(settings.home):
        hall = Hall(settings)
        left = gateway.find(settings.home) is not None
        await hall.stop_runs()
        await hall.close()
        Front(settings).stop()
        (settings.home / home.HALL_FILE).unlink(missing_ok=True)
        return left


@contextlib.contextmanager
def _place(folder: Path, *, standby: bool) -> Iterator[None]:
    """The home for this process: to lead in, under its lock, or to stand by in."""
    if not standby:
        with home.lock(folder):
            yield
        return
    file = folder / _standby_file()
    files.write_json(file, {"pid": os.getpid()})
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _standby_file() -> str:
    return STANDBY_FILES.replace("*", str(os.getpid()))


def _listen(port: int, option: str) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise Rejected(f"port {port} cannot be had: {error.strerror}; choose another with {option}") from None
    return listening


class _Server(uvicorn.Server):
    """The API's server. What watches the hall is told that it ends, and is not waited for longer."""

    def __init__(self, hall: Hall) -> None:
        config = uvicorn.Config(
            create(hall), log_level="warning", access_log=False, lifespan="off", server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )  # fmt: skip
        super().__init__(config)
        self._hall = hall

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hall.feed.close()
        await super().shutdown(sockets)


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


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
