"""Processes on this machine: the default launcher.

Every attempt has a folder of its own and a supervisor that outlives the hall (see `supervisor`). The folder is the
whole truth: a hall that starts again reads it and goes on, and its creation is what makes an attempt start once.

    RUNS/<run uid>/state/       checkpoints, for the next attempt
    RUNS/<run uid>/<number>/    launch.json, order.json, log, report.json, result.json, supervisor.json, exit.json
    RUNS/<run uid>/<number>/tmp what the program and its libraries leave in the way; it goes with the run
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import Field, JsonValue
from pydantic_core import from_json

from modelhall.adapters.launcher import supervisor
from modelhall.core import files
from modelhall.core.kinds.base import Frozen, Problem
from modelhall.core.kinds.run import Exit, Progress
from modelhall.core.ports.launcher import AttemptId, Launch, NodeReport, Observation

F = TypeVar("F", bound=Frozen)
NODE = "local"
SLOWEST_START_S = 20.0
"""An attempt whose supervisor has not shown up after this long is given up."""


class ProcessLauncher:
    """The launcher port over local processes."""

    def __init__(self, runs: Path, *, blobs: str, cache: Path, environment: Mapping[str, str]) -> None:
        """`environment` is all that programs see of this process's own; `blobs` is the URL they are given."""
        self._runs = runs
        self._blobs = blobs
        self._cache = cache
        self._environment = dict(environment)
        self._sent: set[AttemptId] = set()
        self._supervisors: list[subprocess.Popen[bytes]] = []
        self._final: dict[AttemptId, Observation] = {}

    async def start(self, launch: Launch) -> None:
        await asyncio.to_thread(self._start, launch)

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        return await asyncio.to_thread(lambda: {id: self._observe(id) for id in ids})

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        await asyncio.to_thread(self._stop, id, grace_s)

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> bytes:
        return await asyncio.to_thread(_read_from, self._folder(id) / "log", offset, limit)

    async def forget(self, run_uid: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._runs / run_uid, ignore_errors=True)
        self._sent = {id for id in self._sent if id.run_uid != run_uid}
        self._final = {id: last for id, last in self._final.items() if id.run_uid != run_uid}

    async def nodes(self) -> list[NodeReport]:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = psutil.virtual_memory().total
        return [NodeReport(name=NODE, cpus=float(cpus), memory_bytes=memory, processor=_processor())]

    def _folder(self, id: AttemptId) -> Path:
        return self._runs / id.run_uid / str(id.number)

    def _start(self, launch: Launch) -> None:
        folder = self._folder(launch.id)
        state = folder.parent / "state"
        state.mkdir(parents=True, exist_ok=True)
        self._sent.add(launch.id)
        try:
            folder.mkdir()
        except FileExistsError:
            return
        files.sync_folder(folder.parent)
        if launch.order is not None:
            files.write_json(folder / "order.json", self._order(launch, folder, state))
        argv = [sys.executable if launch.argv[0] == "python" else launch.argv[0], *launch.argv[1:]]
        scratch = folder / "tmp"
        scratch.mkdir()
        own = {"MODELHALL_RUN": launch.run, "TMPDIR": str(scratch)}
        environment = self._environment | _threads(launch.threads) | own
        files.write_json(
            folder / "launch.json", {"argv": argv, "env": environment, "memory_bytes": launch.memory_bytes}
        )
        self._supervisors = [process for process in self._supervisors if process.poll() is None]
        with (folder / "log").open("ab") as log:
            self._supervisors.append(
                subprocess.Popen(
                    [sys.executable, "-m", supervisor.__name__, str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,
                )
            )

    def _order(self, launch: Launch, folder: Path, state: Path) -> dict[str, Any]:
        return {
            "run": launch.run,
            "attempt": launch.id.number,
            "what": dict(launch.order or {}),
            "blobs": self._blobs,
            "work": str(folder),
            "state": str(state),
            "cache": str(self._cache),
            "threads": launch.threads,
        }

    def _observe(self, id: AttemptId) -> Observation:
        if id in self._final:
            return self._final[id]
        folder = self._folder(id)
        if not folder.exists():
            return Observation(alive=None)
        ended = _read(folder / supervisor.EXIT, Exit)
        alive = ended is None and self._is_supervised(id)
        if ended is None and not alive:
            # It may have ended between the two looks; only then is there an exit to read.
            ended = _read(folder / supervisor.EXIT, Exit) or _end_orphans(folder)
        report = _read(folder / "report.json", _Report) or _Report()
        told = _read(folder / "result.json", _Told) if ended is not None else None
        observation = Observation(
            alive=alive,
            exit=ended,
            cpu_s=_cpu_s(folder) if ended is None else ended.cpu_s,
            progress=report.progress,
            metrics=report.metrics,
            address=report.address,
            result=told.model_dump(exclude_none=True) if told else None,
        )
        if not alive:
            self._final[id] = observation
        return observation

    def _is_supervised(self, id: AttemptId) -> bool:
        """Whether the attempt's supervisor is at work or may still come; if not, it is kept from coming."""
        folder = self._folder(id)
        claim = _read(folder / supervisor.CLAIM, _Process)
        if claim is None:
            # One that a hall killed since may have sent is not waited for: it may as well never have been sent.
            if id in self._sent and time.time() - folder.stat().st_mtime < SLOWEST_START_S:
                return True
            supervisor.claim(folder, pid=None)
            # Ours, or that of a supervisor that was quicker; a damaged one is nobody's.
            claim = _read(folder / supervisor.CLAIM, _Process)
        return claim is not None and claim.is_running

    def _stop(self, id: AttemptId, grace_s: float) -> None:
        folder = self._folder(id)
        if not folder.exists() or (folder / supervisor.EXIT).exists():
            return
        # Written before the look, so that a supervisor that is yet to come finds it.
        files.write_json(folder / supervisor.STOP, {"grace_s": grace_s})
        claim = _read(folder / supervisor.CLAIM, _Process)
        if claim is not None and claim.pid is not None and claim.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(claim.pid, signal.SIGTERM)


class _Process(Frozen):
    """A process as the supervisor writes it down; `ticks` tell it from a later one of the same number."""

    pid: int | None
    ticks: str | None

    @property
    def is_running(self) -> bool:
        return self.pid is not None and supervisor.is_running(self.pid, self.ticks)


class _Report(Frozen):
    """What a program says of itself while it runs."""

    progress: Progress | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    address: str | None = None


class _Told(Frozen):
    """What a program says at its end."""

    output: dict[str, JsonValue] | None = None
    problem: Problem | None = None


def _end_orphans(folder: Path) -> Exit:
    """Kill what a supervisor that was killed has left running, before anybody starts the next attempt."""
    child = _read(folder / supervisor.CHILD, _Process)
    # While one process of its group lives, no other process gets the group's number.
    if child is not None and child.pid is not None and supervisor.is_same_or_gone(child.pid, child.ticks):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    return Exit(ended_at=time.time())


def _threads(count: int) -> dict[str, str]:
    """Keep numeric libraries to the processors the run was given, and idle threads from spinning on them."""
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "POLARS_MAX_THREADS",
        "RAYON_NUM_THREADS",
    )
    return {
        **dict.fromkeys(names, str(count)),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _cpu_s(folder: Path) -> float:
    """CPU time of the attempt's main process and of those of its children that have ended."""
    child = _read(folder / supervisor.CHILD, _Process)
    if child is None or child.pid is None:
        return 0.0
    try:
        times = psutil.Process(child.pid).cpu_times()
    except (psutil.Error, ValueError):
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _read(path: Path, shape: type[F]) -> F | None:
    """What is in a file, if it makes sense: programs may write whatever they like into their folder."""
    try:
        return shape.model_validate(from_json(path.read_bytes(), allow_inf_nan=False))
    except (OSError, ValueError):
        return None


def _read_from(path: Path, offset: int, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""


def _processor() -> str:
    for line in _read_from(Path("/proc/cpuinfo"), 0, 4096).decode(errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
