"""A real Ray cluster on loopback: a head, and machines that come and go, each at an address of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
STORE_BYTES = 80_000_000
"""Of shared objects, of which the hall has none; the least that Ray takes."""
STARTED = "Ray runtime started."
STARTED_WITHIN_S = 240.0
TRIES = 3


class RealRay:
    """One cluster, with a token that whoever speaks with it has to show."""

    def __init__(self) -> None:
        pytest.importorskip("ray", reason="Ray is not installed: pip install modelhall[ray]")
        # The paths of its sockets are below it, and may not be long.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        token = self.folder / "token"
        token.write_text(os.urandom(32).hex())
        self.variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        self.port, self.client_port = _free_port(), _free_port()
        self.address = f"127.0.0.2:{self.port}"
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._addresses: dict[str, str] = {}

    def start(self) -> RealRay:
        """The head, on which nothing is to run."""
        head = ["--head", "--port", str(self.port), "--ray-client-server-port", str(self.client_port)]
        more = ["--include-dashboard", "false", "--num-cpus", "0", "--temp-dir", str(self.folder / "t")]
        self._start("head", *head, *more)
        return self

    def add(self, name: str, *, cpus: float = 2, gpus: int = 0) -> None:
        """A machine; what its agents keep is in its home."""
        amounts = ["--num-cpus", str(cpus), "--num-gpus", str(gpus), "--memory", str(4 * 2**30)]
        self._start(name, "--address", self.address, *amounts)

    def home(self, name: str) -> Path:
        return self.folder / name

    def stop(self, name: str) -> None:
        """End Ray on a machine, as `ray stop` does, and leave all others there to themselves."""
        self._nodes[name].terminate()
        self._nodes.pop(name).wait()

    def kill(self, name: str) -> None:
        """Kill -9 all that runs on a machine, at once."""
        processes = self.processes(name)
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.suspend()
        for process in {*processes, *self.processes(name)}:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if (node := self._nodes.pop(name, None)) is not None:
            node.wait()

    def end(self) -> None:
        """All of it, and what it left."""
        for name in reversed(list(self._addresses)):
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self, name: str) -> list[psutil.Process]:
        """All that runs on a machine: what Ray has started, and what agents have, which have no parent any more."""
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error, KeyError):
            top = psutil.Process(self._nodes[name].pid)
            found = [top, *top.children(recursive=True)]
        return [*found, *(one for one in psutil.process_iter() if _is_of(one, self.home(name)))]

    def _start(self, name: str, *words: str) -> None:
        """Ray gives itself half a minute to start, which a busy machine may not have."""
        for _ in range(TRIES):
            if self._has_started(name, words):
                return
            self.kill(name)
        raise AssertionError(f"no Ray: {self._said(name).read_text()[-2000:]}")

    def _has_started(self, name: str, words: Sequence[str]) -> bool:
        address = self._addresses.setdefault(name, f"127.0.0.{len(self._addresses) + 2}")
        said = self._said(name)
        with said.open("wb") as log:
            node = self._nodes[name] = subprocess.Popen(
                [
                    *START, "--node-ip-address", address, "--node-name", name, "--include-log-monitor", "false",
                    "--object-store-memory", str(STORE_BYTES), *words,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=self._environment(name),
            )  # fmt: skip
        deadline = time.monotonic() + STARTED_WITHIN_S
        while (
            is_on := node.poll() is None and time.monotonic() < deadline
        ) and STARTED not in said.read_text():
            time.sleep(0.05)
        return is_on

    def _said(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _environment(self, name: str) -> dict[str, str]:
        of_halls = {word for word in os.environ if word.startswith("MODELHALL_")}
        inherited = {word: value for word, value in os.environ.items() if word not in of_halls}
        patient = {"RAY_gcs_server_port_wait_time_s": "120", "RAY_worker_register_timeout_seconds": "240"}
        return {
            **inherited, **self.variables, **patient, "MODELHALL_HOME": str(self.home(name)),
            "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip


def _is_of(process: psutil.Process, home: Path) -> bool:
    try:
        is_told = process.environ().get("MODELHALL_HOME") == str(home)
        return is_told or any(str(home) in word for word in (*process.cmdline(), process.cwd()))
    except psutil.Error:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port: int = probe.getsockname()[1]
        return port
