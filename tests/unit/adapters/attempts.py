"""Real attempts under a process launcher, for tests of what only processes have."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.adapters.launcher.supervision.instructions import Supervision
from modelhall.core.kinds.run import Exit
from modelhall.core.ports.launcher import AttemptId, Launch, LogPart, Observation

PATIENCE_S = 60.0
"""How long a busy machine may take to do what it is asked to."""
MIB = 2**20


class Attempts:
    """A runs folder and a launcher over it; `options` are the launcher's."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.runs = folder / "runs"
        self._options = options
        self.launcher = self.again()

    def again(self, **options: Any) -> ProcessLauncher:
        """Another launcher over the same folder, as a hall that starts again has."""
        given: dict[str, Any] = {"environment": {"PATH": os.environ["PATH"]}, **self._options, **options}
        return ProcessLauncher(self.runs, blobs="folder:///none", cache=self.runs.parent / "cache", **given)

    def supervise(self, **how: Any) -> None:
        """Have attempts that start from now on kept in another way."""
        self.launcher = self.again(supervision=Supervision(**how))

    def start(self, does: str | tuple[str, ...], run: str = "r", **fields: Any) -> AttemptId:
        """Start a shell script, or a program and its arguments."""
        argv = ("sh", "-c", does) if isinstance(does, str) else does
        some = {"order": None, "cpus": 1.0, "threads": 1, "memory_bytes": None, **fields}
        id = AttemptId(run, 1)
        asyncio.run(self.launcher.start(Launch(id=id, run=run, node="local", argv=argv, **some)))
        return id

    def see(self, id: AttemptId) -> Observation:
        return asyncio.run(self.launcher.observe([id]))[id]

    def end(self, id: AttemptId) -> Exit:
        """How an attempt ended, once it has."""
        self.until(lambda: self.see(id).alive is False)
        exit = self.see(id).exit
        assert exit is not None
        return exit

    def log(self, id: AttemptId, offset: int = 0, limit: int = 65536) -> LogPart:
        return asyncio.run(self.launcher.log(id, offset, limit))

    def stop(self, id: AttemptId, grace_s: float) -> None:
        asyncio.run(self.launcher.stop(id, grace_s))

    def work(self, id: AttemptId) -> Path:
        return self.runs / id.run_uid / str(id.number)

    def read(self, id: AttemptId, name: str) -> Any:
        return json.loads((self.work(id) / name).read_text())

    def pid_in(self, id: AttemptId, name: str) -> int:
        """The number a program has written into a file, once it has."""
        path = self.work(id) / name
        self.until(lambda: path.exists() and path.read_text().endswith("\n"))
        return int(path.read_text())

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, "this took too long"
            time.sleep(0.01)

    def close(self) -> None:
        """Leave nothing running, not even a supervisor that is yet to come."""
        for folder in self.runs.glob("*/[0-9]*"):
            supervisor.claim(folder, pid=None)
            for name in (supervisor.CLAIM, supervisor.CHILD):
                pid = json.loads((folder / name).read_text())["pid"] if (folder / name).exists() else None
                if pid is not None and psutil.pid_exists(pid):
                    os.kill(pid, signal.SIGKILL)
        for run in self.runs.glob("*/"):
            asyncio.run(self.launcher.forget(run.name))


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
