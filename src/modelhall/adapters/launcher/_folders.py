"""The folders of attempts: each made once, behind the fence, with all that its supervisor must know.

    RUNS/epoch                  the newest control plane's epoch; launches of earlier ones are refused
    RUNS/<run uid>/state/       checkpoints, for the next attempt
    RUNS/<run uid>/<number>/    launch.json, order.json, log/, report.json, result.json, supervisor.json, exit.json
    RUNS/<run uid>/<number>/tmp what the program and its libraries leave in the way; it goes with the run

How a supervisor is set going, and how it is looked at, is left to each launcher. Several of them may share one folder
of runs, so that a run goes on from its state wherever its next attempt is.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher.supervision import log
from modelhall.adapters.launcher.supervision.cgroup import Group
from modelhall.adapters.launcher.supervision.claim import claim
from modelhall.adapters.launcher.supervision.epoch import Fence
from modelhall.adapters.launcher.supervision.instructions import Supervision, instructions
from modelhall.adapters.launcher.supervision.told import told
from modelhall.core import failpoints, files
from modelhall.core.errors import Full, NotNow, Rejected
from modelhall.core.kinds.base import Problem
from modelhall.core.ports.launcher import AttemptId, Launch, LogPart
from modelhall.core.ports.reports import Points
from modelhall.core.ports.source import SourceRules

REFUSED = 127
RETRY_S = 5.0

SetGoing = Callable[[Path, Mapping[str, int]], None]
"""Sets the supervisor of the attempt in a folder going, and hands it these descriptors, each by its variable."""


class Folders:
    """The attempts below one folder of runs."""

    def __init__(
        self,
        runs: Path,
        *,
        blobs: str,
        cache: Path,
        environment: Mapping[str, str],
        handover: Handover,
        hidden: Path | None = None,
        sources: SourceRules | None = None,
        supervision: Supervision,
    ) -> None:
        """`environment` is all that programs see of this process's own; stages are given the URL of their project's
        blobs, below `blobs`, and a folder of its own below `cache`. Programs cannot reach into the folder `hidden`,
        the runs if none is given, but for what is theirs.
        """
        self.runs = runs.absolute()
        self._blobs = blobs
        self._cache = cache
        self._hidden = hidden or self.runs
        self._environment = dict(environment)
        self._handover = handover
        self._sources = (sources or SourceRules()).model_dump(mode="json")
        self._supervision = supervision
        self._fence = Fence(self.runs)

    def of(self, id: AttemptId) -> Path:
        return self.runs / id.run_uid / str(id.number)

    def fence(self, epoch: int) -> None:
        self._fence.raise_to(epoch)

    def begin(self, launch: Launch, set_going: SetGoing, *, address: str, group: Group | None = None) -> bool:
        """Start an attempt, unless it has been before; whether it had not been. Its replicas and workers listen at
        `address`, its processes are kept in `group`. Raises as `Launcher.start` does."""
        folder = self.of(launch.id)
        failpoints.reach("launcher.before-folder")
        # The folder is made behind the fence: whoever raises it afterwards finds the folder, and an attempt of an
        # earlier epoch whose folder is not there by then never gets one.
        try:
            with self._fence.passing(launch.epoch):
                if not _make_once(folder):
                    return False
            failpoints.reach("launcher.folder-made")
            self._begin_in(folder, launch, set_going, address, group)
            return True
        except OSError as error:
            raise _cannot_start(launch, error) from None

    def log(self, id: AttemptId, offset: int, limit: int) -> LogPart:
        found, data = log.read(self.of(id) / log.FOLDER, offset, limit)
        return LogPart(offset=found, data=data)

    def reported(self, id: AttemptId) -> Points:
        return told(self.of(id))

    def attempts_of(self, run_uid: str) -> list[AttemptId]:
        """Every attempt of a run that has a folder."""
        names = [path.name for path in (self.runs / run_uid).glob("*") if path.name.isdecimal()]
        return [AttemptId(run_uid, int(name)) for name in names]

    def forget(self, run_uid: str) -> None:
        shutil.rmtree(self.runs / run_uid, ignore_errors=True)

    def _begin_in(
        self, folder: Path, launch: Launch, set_going: SetGoing, address: str, group: Group | None
    ) -> None:
        try:
            with self._handover.of(launch) as handed:
                self._write(launch, folder, handed, address, group)
                failpoints.reach("launcher.launch-written")
                set_going(folder, handed)
            failpoints.reach("launcher.supervisor-spawned")
        except Rejected as error:
            refuse(folder, Problem.of(error))
        except (OSError, NotNow):
            # Nothing runs yet, so it may as well not have begun, and a later start begins anew.
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _write(
        self, launch: Launch, folder: Path, handed: Mapping[str, int], address: str, group: Group | None
    ) -> None:
        if launch.order is not None:
            files.write_json(folder / "order.json", self._order(launch, folder, address))
        (folder / "tmp").mkdir()
        told = instructions(
            launch,
            folder,
            environment=self._environment,
            supervision=self._supervision,
            group=group,
            handed=handed,
            hidden=self._hidden,
            open_within=self._open_to(launch, folder),
        )
        files.write_json(folder / supervisor.LAUNCH, told)

    def _open_to(self, launch: Launch, folder: Path) -> list[Path]:
        """What the program may reach of the hall's home: its own folders; if it is a stage, its project's part of the
        cache, too, and blobs, which are sealed."""
        own = [folder, folder.parent / "state"]
        if launch.order is None:
            return own
        cache = self._cache / launch.project
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        return [*own, cache, Path(self._blobs.partition("://")[2])]

    def _order(self, launch: Launch, folder: Path, address: str) -> dict[str, Any]:
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
            "address": address,
            "memory_bytes": launch.memory_bytes,
            "sources": self._sources,
        }


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


def refuse(folder: Path, problem: Problem) -> None:
    """Have an attempt be over before it began."""
    files.write_json(folder / supervisor.RESULT, {"problem": problem.model_dump()})
    files.write_json(folder / supervisor.EXIT, {"code": REFUSED, "ended_at": time.time()})
    claim(folder, pid=None)


def _cannot_start(launch: Launch, error: OSError) -> NotNow:
    message = f"run {launch.run!r} cannot be started: {error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Full(f"{message}; free some room", delay_s=RETRY_S)
    return NotNow(f"{message}; tried again", delay_s=RETRY_S)


def group_name(folder: Path) -> str:
    """What the control group of the attempt in `folder` is called, or its job; no other attempt's of any hall."""
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return f"{folder.parent.name}.{folder.name}.{place}"
