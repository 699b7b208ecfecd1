"""Processes on this machine: the default launcher.

Every attempt has a folder of its own (`_folders`) and a supervisor that outlives the hall (`supervisor`). The folder
is the whole truth: a hall that starts again reads it and goes on, and its creation is what makes an attempt start
once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from modelhall.adapters.launcher import _gpus, supervisor
from modelhall.adapters.launcher._fitness.checking import Checking
from modelhall.adapters.launcher._folders import Folders, group_name
from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher.supervision import log
from modelhall.adapters.launcher.supervision.instructions import Supervision
from modelhall.adapters.launcher.supervision.sight import Sight
from modelhall.adapters.launcher.supervision.subtree import Subtree
from modelhall.core import files
from modelhall.core.errors import NotNow
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
        """For `blobs`, `cache`, `environment` and `hidden` see `Folders`.

        What programs are handed comes from `secrets`, `hall_secrets` and `keys` (see `Handover`). `failpoints` are
        armed in the supervisors it starts. Replicas and workers listen at `address`, one of this machine's.
        """
        self._address = address
        self._failpoints = failpoints
        self._environment = dict(environment)
        self._monotonic = monotonic
        supervision = supervision or Supervision()
        self._folders = Folders(
            runs,
            blobs=blobs,
            cache=cache,
            environment=environment,
            handover=Handover(secrets=secrets, hall_secrets=hall_secrets or {}, keys=keys),
            hidden=hidden,
            sources=sources,
            supervision=supervision,
        )
        self._checking = Checking(self._folders.runs, monotonic=monotonic)
        self._groups = Subtree(wanted=supervision.groups)
        self._gpus = _gpus.here()
        self._sent_at: dict[AttemptId, float] = {}
        self._supervisors: list[subprocess.Popen[bytes]] = []
        self._sights: dict[AttemptId, Sight] = {}

    async def fence(self, epoch: int) -> None:
        await asyncio.to_thread(self._folders.fence, epoch)

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
        return await asyncio.to_thread(self._folders.log, id, offset, limit)

    async def reported(self, id: AttemptId) -> Points:
        return await asyncio.to_thread(self._folders.reported, id)

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
                gpus=self._gpus.number,
                gpu_type=self._gpus.type,
                address=self._address,
                failed_check=self._checking.failed(),
            )
        ]

    def _start(self, launch: Launch) -> None:
        folder = self._folders.of(launch.id)
        self._sent_at.setdefault(launch.id, self._monotonic())
        group = self._groups.of(group_name(folder))
        try:
            self._folders.begin(launch, self._spawn, address=self._address, group=group)
        except NotNow:
            if not folder.exists():
                self._sent_at.pop(launch.id, None)
            raise

    def _spawn(self, folder: Path, handed: Mapping[str, int]) -> None:
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
                    pass_fds=tuple(handed.values()),
                )
            )

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
            folder = self._folders.of(id)
            self._sights[id] = Sight(folder, group_name(folder))
        return self._sights[id]

    def _stop(self, id: AttemptId, grace_s: float) -> None:
        folder = self._folders.of(id)
        if not folder.exists() or (folder / supervisor.EXIT).exists():
            return
        # Written before the look, so that a supervisor that is yet to come finds it. On a full disk the signal has
        # to do, with the grace the supervisor gives by itself.
        with contextlib.suppress(OSError):
            files.write_json(folder / supervisor.STOP, {"grace_s": grace_s})
        self._sight(id).signal_supervisor()

    def _forget(self, run_uid: str) -> None:
        for id in self._folders.attempts_of(run_uid):
            self._sight(id).clear()
        self._folders.forget(run_uid)
        for id in {*self._sent_at, *self._sights}:
            if id.run_uid == run_uid:
                self._sent_at.pop(id, None)
                self._sights.pop(id, None)
