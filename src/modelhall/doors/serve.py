"""`hall up` from the inside: one lock a home, one process for control and API, one for the gateway.

The gateway is a process of its own that outlives this one: while the control plane is away, callers are served.
The next `hall up` in the same home finds it and goes on with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import uvicorn

from modelhall.app import gateway
from modelhall.app.gateway import HOST
from modelhall.app.hall import Hall
from modelhall.core import files
from modelhall.core.errors import Broken, Rejected
from modelhall.doors.api import create
from modelhall.settings import Settings

HALL_FILE = "hall.json"
GATEWAY_START_S = 15.0
STOP_S = 20.0


async def up(settings: Settings, announce: Callable[[Hall], None]) -> None:
    """Run the control plane until it is told to end; `announce` is called when all of it answers.

    Raises Rejected when the home is in use or cannot be written, or a port is taken.
    """
    with _home_lock(settings.home), _listen(settings.port, "--port") as listening:
        hall = Hall(settings)
        front = _Gateway(settings)
        port = await front.start()
        hall.addresses = {"address": _url(listening.getsockname()[1]), "gateway": _url(port)}
        config = uvicorn.Config(
            create(hall), log_level="warning", access_log=False, lifespan="off", server_header=False
        )
        server = uvicorn.Server(config)
        _end_on_signals(server)
        work = [asyncio.create_task(part) for part in (hall.drive(), hall.keep_books(), front.watch())]
        for task in work:
            task.add_done_callback(lambda done: _end_with(done, server))
        files.write_json(settings.home / HALL_FILE, {"pid": os.getpid(), **hall.addresses})
        announce(hall)
        try:
            await server.serve(sockets=[listening])
        finally:
            (settings.home / HALL_FILE).unlink(missing_ok=True)
            for task in work:
                task.cancel()
            done = await asyncio.gather(*work, return_exceptions=True)
            await hall.stop_runs()
            await hall.close()
            await asyncio.to_thread(front.stop)
        for error in done:
            if isinstance(error, Exception):
                raise error


def down(settings: Settings) -> bool:
    """Stop the hall in `settings.home`, and what it left running if it was killed; False when nothing ran.

    Raises Broken when it does not end in time.
    """
    running = files.read_json(settings.home / HALL_FILE)
    if running is not None and _is_locked(settings.home):
        os.kill(running["pid"], signal.SIGTERM)
        deadline = time.monotonic() + STOP_S + 15
        while _is_locked(settings.home):
            if time.monotonic() > deadline:
                raise Broken(
                    f"the hall (process {running['pid']}) does not end; `kill -9 {running['pid']}` ends it"
                )
            time.sleep(0.05)
        return True
    if not (settings.home / "hall.db").exists():
        return False
    return asyncio.run(_clear_up(settings))


async def _clear_up(settings: Settings) -> bool:
    """Stop what a hall that was killed has left running."""
    with _home_lock(settings.home):
        hall = Hall(settings)
        left = gateway.find(settings.home) is not None
        await hall.stop_runs()
        await hall.close()
        _Gateway(settings).stop()
        (settings.home / HALL_FILE).unlink(missing_ok=True)
        return left


class _Gateway:
    """The gateway process: started, found again, started again when it dies, stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> int:
        """Have a gateway listening; return its port. Raises Rejected when it cannot, such as a taken port."""
        if gateway.find(self._settings.home) is None:
            (self._settings.home / gateway.GATEWAY_FILE).unlink(missing_ok=True)
            self._child = await asyncio.to_thread(self._spawn, self._settings.gateway_port)
        deadline = time.monotonic() + GATEWAY_START_S
        while (facts := files.read_json(self._settings.home / gateway.GATEWAY_FILE)) is None:
            if self._child is not None and self._child.poll() is not None:
                raise Rejected(f"the gateway did not start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise Broken(f"the gateway is not listening after {GATEWAY_START_S:g} s")
            await asyncio.sleep(0.02)
        return int(facts["port"])

    async def watch(self) -> None:
        """Start the gateway again when it is gone, on the port it had."""
        while True:
            await asyncio.sleep(0.5)
            if self._child is not None:
                self._child.poll()
            if gateway.find(self._settings.home) is None:
                facts: dict[str, Any] = files.read_json(self._settings.home / gateway.GATEWAY_FILE) or {}
                port = facts.get("port", self._settings.gateway_port)
                self._child = await asyncio.to_thread(self._spawn, port)
                await asyncio.sleep(2)

    def stop(self) -> None:
        process = gateway.find(self._settings.home)
        if process is not None:
            with contextlib.suppress(psutil.Error):
                process.terminate()
                process.wait(STOP_S)
        (self._settings.home / gateway.GATEWAY_FILE).unlink(missing_ok=True)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        argv = ["-m", gateway.__name__, str(self._settings.home), str(port)]
        with (self._settings.home / "gateway.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._settings.environment,
                start_new_session=True,
            )

    def _last_words(self) -> str:
        lines = (self._settings.home / "gateway.log").read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("hall: ") if lines else "it said nothing"


@contextlib.contextmanager
def _home_lock(home: Path) -> Iterator[None]:
    """Hold the home for this process alone. The lock goes with the process, however it ends."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (home / "lock").open("a")
    except OSError as error:
        raise Rejected(
            f"the home {home} cannot be written: {error.strerror}; choose another with --home"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Rejected(
                f"a hall is up in {home} already; `hall down` stops it, --home chooses another"
            ) from None
        yield


def _is_locked(home: Path) -> bool:
    try:
        with _home_lock(home):
            return False
    except Rejected:
        return True


def _listen(port: int, option: str) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise Rejected(f"port {port} cannot be had: {error.strerror}; choose another with {option}") from None
    return listening


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
