"""Processes on this machine: the default launcher.

Every attempt has a folder of its own and a supervisor that outlives the hall (see `supervisor`). The folder is the
whole truth: a hall that starts again reads it and goes on, and its creation is what makes an attempt start once.

    RUNS/epoch                  the newest control plane's epoch; launches of earlier ones are refused
    RUNS/<run uid>/state/       checkpoints, for the next attempt
    RUNS/<run uid>/<number>/    launch.json, order.json, log/, report.json, result.json, supervisor.json, exit.json
    RUNS/<run uid>/<number>/tmp what the program and its libraries leave in the way; it goes with the run
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher._fitness.checking import Checking
from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher.supervision import log
from modelhall.adapters.launcher.supervision.claim import claim
from modelhall.adapters.launcher.supervision.epoch import Fence
from modelhall.adapters.launcher.supervision.instructions import Supervision, instructions
from modelhall.adapters.launcher.supervision.sight import Sight
from modelhall.adapters.launcher.supervision.subtree import Subtree
from modelhall.adapters.launcher.supervision.told import told
from modelhall.core import failpoints, files
from modelhall.core.errors import Full, NotNow, Rejected
from modelhall.core.kinds.base import Problem
from modelhall.core.machine import processor
from modelhall.core.ports.launcher import AttemptId, Launch, LogPart, NodeReport, Observation, Taken
from modelhall.core.ports.reports import Points
from modelhall.core.ports.secrets import ReadSecrets
from modelhall.core.ports.source import SourceRules
from modelhall.core.sealing import KeysOf

NODE = "local"
LOOPBACK = "127.0.0.1"
SLOWEST_START_S = 20.0
"""An attempt whose supervisor has not shown up after this long is given up."""
REFUSED = 127
RETRY_S = 5.0
SUSPICIOUS = (signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)
"""What ends programs on a machine that computes wrongly; mostly it is their own fault."""


class ProcessLauncher:
    """The launcher port over local processes."""

    def __init__(
        self,
        runs: Path,
        *,
        blobs: str,
        cache: Path,
        environment: Mapping[str, str],
        secrets: ReadSecrets | None = None,
        hall_secrets: Mapping[str, Callable[[], str]] | None = None,
        keys: KeysOf | None = None,
        hidden: Path | None = None,
        sources: SourceRules | None = None,
        supervision: Supervision | None = None,
        failpoints: str = "",
        address: str = LOOPBACK,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`environment` is all that programs see of this process's own; stages are given the URL of their project's
        blobs, below `blobs`, and a folder of its own below `cache`.

        What programs are handed comes from `secrets`, `hall_secrets` and `keys` (see `handover`). `failpoints` are
        armed in the supervisors it starts. Replicas and workers listen at `address`, one of this machine's.
        Programs cannot reach into the folder `hidden`, the runs if none is given, but for what is theirs.
        """
        self._runs = runs.absolute()
        self._blobs = blobs
        self._cache = cache
        self._hidden = hidden or self._runs
        self._environment = dict(environment)
        self._handover = Handover(secrets=secrets, hall_secrets=hall_secrets or {}, keys=keys)
        self._sources = (sources or SourceRules()).model_dump(mode="json")
        self._supervision = supervision or Supervision()
        self._failpoints = failpoints
        self._address = address
        self._monotonic = monotonic
        self._fence = Fence(self._runs)
        self._checking = Checking(self._runs, monotonic=monotonic)
        self._groups = Subtree(wanted=self._supervision.groups)
        self._sent_at: dict[AttemptId, float] = {}
        self._supervisors: list[subprocess.Popen[bytes]] = []
        self._sights: dict[AttemptId, Sight] = {}

    async def fence(self, epoch: int) -> None:
        await asyncio.to_thread(self._fence.raise_to, epoch)

    async def start(self, launch: Launch) -> None:
        await asyncio.to_thread(self._start, launch)

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        return await asyncio.to_thread(lambda: {id: self._observe(id) for id in ids})

    async def taken(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Taken]:
        found = await asyncio.to_thread(lambda: {id: self._sight(id).taken() for id in ids})
        return {id: taken for id, taken in found.items() if taken is not None}

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        await asyncio.to_thread(self._stop, id, grace_s)

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> LogPart:
        found, data = await asyncio.to_thread(log.read, self._folder(id) / log.FOLDER, offset, limit)
        return LogPart(offset=found, data=data)

    async def reported(self, id: AttemptId) -> Points:
        return await asyncio.to_thread(told, self._folder(id))

    async def forget(self, run_uid: str) -> None:
        await asyncio.to_thread(self._forget, run_uid)

    async def nodes(self) -> list[NodeReport]:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = psutil.virtual_memory().total
        return [
            NodeReport(
                name=NODE,
                cpus=float(cpus),
                memory_bytes=memory,
                processor=processor(),
                address=self._address,
                failed_check=self._checking.failed(),
            )
        ]

    def _folder(self, id: AttemptId) -> Path:
        return self._runs / id.run_uid / str(id.number)

    def _start(self, launch: Launch) -> None:
        folder = self._folder(launch.id)
        failpoints.reach("launcher.before-folder")
        self._sent_at.setdefault(launch.id, self._monotonic())
        # The folder is made behind the fence: whoever raises it afterwards finds the folder, and an attempt of an
        # earlier epoch whose folder is not there by then never gets one.
        try:
            with self._fence.passing(launch.epoch):
                if not _make_once(folder):
                    return
            failpoints.reach("launcher.folder-made")
            self._begin(launch, folder)
        except OSError as error:
            self._sent_at.pop(launch.id, None)
            raise _cannot_start(launch, error) from None

    def _begin(self, launch: Launch, folder: Path) -> None:
        try:
            self._set_going(launch, folder)
        except Rejected as error:
            _refuse(folder, Problem.of(error))
        except OSError:
            # Nothing runs yet, so it may as well not have begun, and a later start begins anew.
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _set_going(self, launch: Launch, folder: Path) -> None:
        if launch.order is not None:
            files.write_json(folder / "order.json", self._order(launch, folder))
        (folder / "tmp").mkdir()
        with self._handover.of(launch) as handed:
            told = instructions(
                launch,
                folder,
                environment=self._environment,
                supervision=self._supervision,
                group=self._groups.of(_group_name(folder)),
                handed=handed,
                hidden=self._hidden,
                open_within=self._open_to(launch, folder),
            )
            files.write_json(folder / supervisor.LAUNCH, told)
            failpoints.reach("launcher.launch-written")
            self._spawn(folder, tuple(handed.values()))
        failpoints.reach("launcher.supervisor-spawned")

    def _open_to(self, launch: Launch, folder: Path) -> list[Path]:
        """What the program may reach of the hall's home: its own folders; if it is a stage, its project's part of the
        cache, too, and blobs, which are sealed."""
        own = [folder, folder.parent / "state"]
        if launch.order is None:
            return own
        cache = self._cache / launch.project
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        return [*own, cache, Path(self._blobs.partition("://")[2])]

    def _spawn(self, folder: Path, handed: tuple[int, ...]) -> None:
        self._supervisors = [process for process in self._supervisors if process.poll() is None]
        armed = [self._failpoints] if self._failpoints else []
        output = folder / log.FOLDER
        output.mkdir()
        # What a supervisor says before it can write the log itself; nobody else would ever hear of it.
        with log.first(output).open("ab") as last_words:
            self._supervisors.append(
                subprocess.Popen(
                    [sys.executable, "-m", supervisor.__name__, str(folder), *armed],
                    stdin=subprocess.DEVNULL,
                    stdout=last_words,
                    stderr=last_words,
                    env=self._environment,
                    start_new_session=True,
                    pass_fds=handed,
                )
            )

    def _order(self, launch: Launch, folder: Path) -> dict[str, Any]:
        return {
            "run": launch.run,
            "attempt": launch.id.number,
            "what": dict(launch.order or {}),
            "blobs": f"{self._blobs}/{launch.project}",
            "sealed": self._handover.keys(launch) is not None,
            "work": str(folder),
            "state": str(folder.parent / "state"),
            "cache": str(self._cache / launch.project),
            "threads": launch.threads,
            "workers": launch.workers,
            "address": self._address,
            "memory_bytes": launch.memory_bytes,
            "sources": self._sources,
        }

    def _observe(self, id: AttemptId) -> Observation:
        sent_at = self._sent_at.get(id)
        # One that a hall killed since may have sent is not waited for: it may as well never have been sent.
        may_come = sent_at is not None and self._monotonic() - sent_at < SLOWEST_START_S
        seen = self._sight(id).look(may_come=may_come)
        if seen.exit is not None and seen.exit.signal in SUSPICIOUS:
            self._checking.suspect()
        return seen

    def _sight(self, id: AttemptId) -> Sight:
        if id not in self._sights:
            folder = self._folder(id)
            self._sights[id] = Sight(folder, _group_name(folder))
        return self._sights[id]

    def _stop(self, id: AttemptId, grace_s: float) -> None:
        folder = self._folder(id)
        if not folder.exists() or (folder / supervisor.EXIT).exists():
            return
        # Written before the look, so that a supervisor that is yet to come finds it. On a full disk the signal has
        # to do, with the grace the supervisor gives by itself.
        with contextlib.suppress(OSError):
            files.write_json(folder / supervisor.STOP, {"grace_s": grace_s})
        self._sight(id).signal_supervisor()

    def _forget(self, run_uid: str) -> None:
        folder = self._runs / run_uid
        for name in (path.name for path in folder.glob("*") if path.name.isdecimal()):
            self._sight(AttemptId(run_uid, int(name))).clear()
        shutil.rmtree(folder, ignore_errors=True)
        for id in {*self._sent_at, *self._sights}:
            if id.run_uid == run_uid:
                self._sent_at.pop(id, None)
                self._sights.pop(id, None)


def _make_once(folder: Path) -> bool:
    """Make an attempt's folder, durably; False when it is there."""
    (folder.parent / "state").mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    # Both names: after a power cut, an attempt that has run must not look as if it had not.
    files.sync_folder(folder.parent)
    files.sync_folder(folder.parent.parent)
    return True


def _refuse(folder: Path, problem: Problem) -> None:
    """Have an attempt be over before it began."""
    files.write_json(folder / supervisor.RESULT, {"problem": problem.model_dump()})
    files.write_json(folder / supervisor.EXIT, {"code": REFUSED, "ended_at": time.time()})
    claim(folder, pid=None)


def _cannot_start(launch: Launch, error: OSError) -> NotNow:
    message = f"run {launch.run!r} cannot be started: {error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Full(f"{message}; free some room", delay_s=RETRY_S)
    return NotNow(f"{message}; tried again", delay_s=RETRY_S)


def _group_name(folder: Path) -> str:
    """What the control group of the attempt in `folder` is called; no other attempt's of any hall."""
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return f"{folder.parent.name}.{folder.name}.{place}"
