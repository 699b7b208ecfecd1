"""How the hall sees one attempt on its own machine: through the files in its folder, and its supervisor's process.

Looked at several times a second, so an attempt that just runs costs a look at its supervisor, one at its report's
date, and one figure of CPU time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher.supervision import cgroup
from modelhall.adapters.launcher.supervision.cgroup import Group
from modelhall.adapters.launcher.supervision.claim import claim
from modelhall.adapters.launcher.supervision.descendants import (
    NO_NEED_TO_BE_EXACT,
    cpu_s,
    descendants,
    disk_bytes,
    held_bytes,
)
from modelhall.adapters.launcher.supervision.orphans import end_orphans
from modelhall.adapters.launcher.supervision.record import Process, Record, read
from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.run import Exit
from modelhall.core.ports.launcher import Observation, Taken


class Sight:
    """One attempt, and what is known of it that no longer changes."""

    def __init__(self, folder: Path, group_name: str) -> None:
        """`group_name` is what the attempt's control group is called, if there is one."""
        self._folder = folder
        self._group_name = group_name
        self._record = Record(folder)
        self._supervisor: Process | None = None
        self._group: Group | None = None
        self._last: Observation | None = None

    def look(self, *, may_come: bool) -> Observation:
        """What the attempt is doing. `may_come` says that its supervisor may be on its way still."""
        if self._last is not None:
            return self._last
        if self._supervisor is None and not self._folder.exists():
            return Observation(alive=None)
        if self._is_supervised(may_come):
            return self._record.at_work(self._cpu_s())
        self._last = self._record.over(self._record.exit() or self._end_orphans())
        return self._last

    def taken(self) -> Taken | None:
        """What the attempt takes now, if it is at work and has been looked at."""
        if self._last is not None or self._supervisor is None or self._supervisor.pid is None:
            return None
        pid, held = self._supervisor.pid, None
        if self._group is not None:
            held = cgroup.held_bytes(self._group)
        if held is None:
            held = held_bytes(descendants(pid), over=NO_NEED_TO_BE_EXACT)
        disk = disk_bytes(pid)
        return Taken(
            cpu_s=self._cpu_s(),
            memory_bytes=held,
            read_bytes=disk and disk[0],
            written_bytes=disk and disk[1],
        )

    def signal_supervisor(self) -> None:
        """Have the supervisor look for what it is told, if there is one at work."""
        found = self._record.claim()
        if found is not None and found.pid is not None and found.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGTERM)

    def clear(self) -> None:
        """Remove what the attempt may have left outside its folder."""
        group = self._read_group()
        if group is not None:
            cgroup.remove(group)

    def _is_supervised(self, may_come: bool) -> bool:
        """Whether the attempt's supervisor is at work or may still come; if not, it is kept from coming."""
        if self._supervisor is None:
            found = self._record.claim()
            if found is None:
                if may_come:
                    return True
                try:
                    claim(self._folder, pid=None)
                except OSError:
                    return True  # a disk that takes no claim: until it does, nothing is certain
                # Ours, or that of a supervisor that was quicker; a damaged one is nobody's.
                found = self._record.claim()
            if found is None or found.pid is None:
                return False
            self._supervisor, self._group = found, self._read_group()
        return self._supervisor.is_running

    def _cpu_s(self) -> float:
        """CPU time so far of all processes there are and were."""
        counted = cgroup.cpu_s(self._group) if self._group is not None else None
        if counted is not None:
            return counted
        supervised_by = self._supervisor.pid if self._supervisor else None
        return cpu_s(supervised_by) if supervised_by is not None else 0.0

    def _read_group(self) -> Group | None:
        """The attempt's own group. The file is the program's to write, so no other group is believed."""
        launch = read(self._folder / supervisor.LAUNCH, _Launch)
        try:
            group = cgroup.from_json(dict(launch.group)) if launch and launch.group else None
        except (KeyError, TypeError, ValueError):
            return None
        if group is None or any(folder.name != self._group_name for folder in group.folders):
            return None
        return group

    def _end_orphans(self) -> Exit:
        """How an attempt ended whose supervisor was killed."""
        self.clear()
        end_orphans(self._folder)
        return Exit(stopped=(self._folder / supervisor.STOP).exists(), ended_at=time.time())


class _Launch(Frozen, extra="ignore"):
    """The part of a launch that is needed after it."""

    group: Mapping[str, Any] | None = None
