"""Real Redis and Memcached servers for tests, on a free port of loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

import psutil
from from_debian import found_or_installed

START_S = 30.0

Command = Callable[[str, int], Sequence[object]]


class RealCache:
    """One server that can be hung and killed."""

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self._process = process

    def hang(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        threads = psutil.Process(self._process.pid).threads()
        while any(psutil.Process(thread.id).status() != psutil.STATUS_STOPPED for thread in threads):
            time.sleep(0.01)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running(kind: str) -> Iterator[RealCache]:
    """A server of a kind, `redis` or `memcached`. Raises LookupError with one line when there cannot be one."""
    package, command = _KINDS[kind]
    program = found_or_installed(package, lambda: shutil.which(package))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    process = subprocess.Popen(
        [str(part) for part in command(program, port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield RealCache(f"{kind}://127.0.0.1:{port}", process)
    finally:
        process.kill()
        process.wait()


def _redis(program: str, port: int) -> Sequence[object]:
    return [program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]


def _memcached(program: str, port: int) -> Sequence[object]:
    # It refuses to be root's unless it is told who to be.
    return [program, "-l", "127.0.0.1", "-p", port, *(["-u", "nobody"] if os.geteuid() == 0 else [])]


_KINDS: dict[str, tuple[str, Command]] = {
    "redis": ("redis-server", _redis),
    "memcached": ("memcached", _memcached),
}


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise LookupError(f"the server does not start: {error}") from error
            time.sleep(0.02)
