"""The gateway process as the control plane keeps it: started, found again, started again when it dies, stopped.

It is a process of its own that outlives the control plane: while that is away, callers are served. The next `hall up`
in the same home finds it and goes on with it. A lock that a gateway holds from before its birth keeps it the only
one, also when the control plane is killed while it starts one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import subprocess
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import psutil

from modelhall.app import compiled, gateway
from modelhall.core import files
from modelhall.core.errors import Broken, Rejected
from modelhall.settings import Settings

START_S = 15.0
STOP_S = 20.0
LOCK_FILE = "gateway.lock"


class Front:
    """The gateway process: started, found again, started again when it dies, stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a gateway, unless there is one."""
        if gateway.find(self._settings.home) is None:
            self._child = self._spawn(self._settings.gateway_port)

    def withdraw(self) -> None:
        """Stop the gateway again if it was started here, for a hall that then could not be opened."""
        if self._child is not None:
            self._child.terminate()
            self._child.wait(STOP_S)

    async def address(self) -> str:
        """Wait until the gateway listens; return its URL. Raises Rejected when it cannot, such as a taken port."""
        deadline = time.monotonic() + START_S
        # What one that is gone has written stays for the next one, which keeps its port.
        while gateway.find(self._settings.home) is None:
            if self._child is not None and self._child.poll() is not None:
                raise Rejected(f"the gateway did not start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise Broken(f"the gateway is not listening after {START_S:g} s")
            await asyncio.sleep(0.02)
        facts: dict[str, Any] = files.read_json(self._settings.home / gateway.GATEWAY_FILE) or {}
        return str(facts["address"])

    async def watch(self, leads: Callable[[], bool]) -> None:
        """While this control plane leads, start the gateway again when it is gone, on the port it had."""
        while True:
            await asyncio.sleep(0.5)
            if self._child is not None:
                self._child.poll()
            if leads() and gateway.find(self._settings.home) is None:
                facts: dict[str, Any] = files.read_json(self._settings.home / gateway.GATEWAY_FILE) or {}
                port = facts.get("port", self._settings.gateway_port)
                self._child = await asyncio.to_thread(self._spawn, port)
                await asyncio.sleep(2)

    def stop(self) -> None:
        deadline = time.monotonic() + START_S
        # One that was just being started by a control plane that was killed is waited for: nobody else would end it.
        while (process := gateway.find(self._settings.home)) is None and self._is_there():
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if process is not None:
            with contextlib.suppress(psutil.Error):
                process.terminate()
                process.wait(STOP_S)
        (self._settings.home / gateway.GATEWAY_FILE).unlink(missing_ok=True)

    def _spawn(self, port: int) -> subprocess.Popen[bytes] | None:
        """Start a gateway; None when there is one, be it on its way still."""
        argv = ["-m", compiled.__name__, gateway.__name__, str(self._settings.home), str(port)]
        with self._lock() as lock, (self._settings.home / "gateway.log").open("ab") as log:
            if not _take(lock):
                return None
            return subprocess.Popen(
                [sys.executable, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._settings.environment | self._settings.for_the_gateway,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )

    def _is_there(self) -> bool:
        with self._lock() as lock:
            return not _take(lock)

    def _lock(self) -> IO[bytes]:
        return (self._settings.home / LOCK_FILE).open("ab")

    def _last_words(self) -> str:
        lines = (self._settings.home / "gateway.log").read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("hall: ") if lines else "it said nothing"


def _take(lock: IO[bytes]) -> bool:
    """Take the lock, for this process and those that inherit it; False when a gateway has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
