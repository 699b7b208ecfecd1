"""The process of the engine `vllm`: starts vLLM's own server below it, waits until it answers, and asks it for texts,
each in a stream of its own (`_vllm_stream.py`). When this ends, vLLM does too.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import http.client
import json
import logging
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from modelhall.core.errors import Broken
from modelhall.serving.engines import Sampling, Token
from modelhall.serving.engines._aside import serve
from modelhall.serving.engines._vllm_stream import MODEL, Come, Stream

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_START_S = 1800.0
"""Large weights take minutes to load, and graphs to be captured."""
_LOOK_S, _TELL_S = 0.2, 10.0
"""While it starts, it is looked at and told of so often."""
_COME_S = 0.02
"""How long a step waits for tokens: whoever comes or goes meanwhile waits as long."""
_MEASURE_S = 0.25
_PR_SET_PDEATHSIG = 1
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # Of its build for processors: as many threads as it is given, wherever the hall lets them run.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "2",
}


def load(*, executable: str, folder: str, threads: int, slots: int, reads: int) -> VllmGenerator:
    """A server for the network in `folder`, at most `slots` texts of `reads` tokens at once. Raises RuntimeError when
    it ends or does not answer in time, for which this process ends too."""
    port, key = _free_port(), secrets.token_urlsafe(32)
    stored = json.loads((Path(folder) / "config.json").read_text())
    arguments = [
        executable, "serve", folder,
        "--host", _HOST, "--port", str(port),
        "--served-model-name", MODEL,
        "--max-model-len", str(reads),
        "--max-num-seqs", str(slots),
        # In what the version is stored in, as it was measured.
        "--dtype", stored.get("dtype") or "float32",
        "--generation-config", "vllm",
        "--enable-prompt-tokens-details",
        "--uvicorn-log-level", "warning",
    ]  # fmt: skip
    mine = os.getpid()
    server = subprocess.Popen(
        arguments,
        env={**os.environ, **_ENVIRONMENT, "OMP_NUM_THREADS": str(threads), "VLLM_API_KEY": key},
        stdin=subprocess.DEVNULL,
        # A SIGTERM to the replica's processes is not for those that have yet to end what is under way.
        start_new_session=True,
        preexec_fn=lambda: _end_with(mine),
    )
    atexit.register(_end, server)
    _wait(server, port)
    return VllmGenerator(server, port, key)


class VllmGenerator:
    alternatives = 20
    schemas = True
    penalties = True
    counts_told = False
    """What was told elsewhere is prompt to it: it counts neither for penalties, nor for how far a seed has come."""
    memory_used = None

    def __init__(self, server: subprocess.Popen[bytes], port: int, key: str) -> None:
        self._server = server
        self._port, self._key = port, key
        self._come: queue.SimpleQueue[Come] = queue.SimpleQueue()
        self._streams: dict[int, Stream] = {}
        self._spent_s, self._measured_at = 0.0, float("-inf")

    @property
    def spent_s(self) -> float:
        """Of vLLM's processes and this one, measured now and then."""
        now = time.monotonic()
        if now - self._measured_at >= _MEASURE_S:
            self._measured_at = now
            # Processes that ended took what they had spent along.
            self._spent_s = max(self._spent_s, _cpu_s(self._server.pid) + time.process_time())
        return self._spent_s

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        connection = http.client.HTTPConnection(_HOST, self._port)
        self._streams[key] = Stream(key, connection, self._key, prompt, sampling, self._come.put)

    def step(self) -> list[Token]:
        told: list[Token] = []
        with contextlib.suppress(queue.Empty):
            told += self._taken(self._come.get(timeout=_COME_S))
            while True:
                told += self._taken(self._come.get_nowait())
        return told

    def cancel(self, key: int) -> None:
        if (stream := self._streams.pop(key, None)) is not None:
            stream.close()

    def _taken(self, come: Come) -> list[Token]:
        """The tokens of one event, where its text is still wanted."""
        if come.key not in self._streams:
            return []
        if come.failed is not None:
            if self._server.poll() is not None:
                log.critical("vllm.gone exit_code=%s", self._server.returncode)
                sys.exit(1)
            raise Broken(f"vLLM broke off: {come.failed}")
        if come.told and come.told[-1].end is not None:
            del self._streams[come.key]
        return come.told


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def _end_with(parent: int) -> None:
    """In the new process: take SIGTERM as usual, and end when the one that started it does, however that ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End vLLM and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    """Until it answers; what it does meanwhile, it logs itself."""
    begun = told = time.monotonic()
    while not _is_healthy(port):
        now = time.monotonic()
        if server.poll() is not None:
            raise RuntimeError(f"vLLM ended with code {server.returncode} while it started")
        if now - begun > _START_S:
            raise RuntimeError(f"vLLM does not answer after {_START_S:g} s")
        if now - told >= _TELL_S:
            told = now
            log.warning("vllm.starting waited_s=%.0f of_at_most_s=%.0f", now - begun, _START_S)
        time.sleep(_LOOK_S)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _cpu_s(pid: int) -> float:
    """Processor seconds of a process and those below it that there are."""
    spent_s = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                spent_s += times.user + times.system
    return spent_s


if __name__ == "__main__":
    serve(load)
