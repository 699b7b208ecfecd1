"""The control group of an attempt: its limits, what all its processes used, and an end none of them escapes.

A group is a folder below `modelhall` in the hall's own group (see `subtree`): one folder in cgroup v2, one for each
controller in v1. Quotas have a tenth of head-room and are counted over 100 ms, so that a run that keeps to its
processors is not slowed down by its small threads.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

PERIOD_US = 100_000
HEAD_ROOM = 1.1
SMALLEST_QUOTA_US = 1_000
LARGEST_CHARGE_BYTES = 4 * 2**20
"""More than a kernel asks for at once, and so the most that may be left when a group is out of memory."""
REMOVE_WITHIN_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Group:
    """Where each controller keeps the group; None where there is no permission to."""

    version: int
    memory: Path | None = None
    cpu: Path | None = None
    accounts: Path | None = None
    """Where CPU time is counted."""

    @property
    def folders(self) -> list[Path]:
        """Each folder of the group once."""
        return list(dict.fromkeys(filter(None, (self.memory, self.cpu, self.accounts))))

    def below(self, name: str) -> Group:
        """The group `name` in this one."""
        return Group(
            version=self.version,
            memory=self.memory and self.memory / name,
            cpu=self.cpu and self.cpu / name,
            accounts=self.accounts and self.accounts / name,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            name: value if name == "version" else value and str(value) for name, value in asdict(self).items()
        }


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What all processes of a group used together; None where the kernel does not tell.

    The peak counts everything the limit counts, so also pages of files that could have been dropped.
    """

    cpu_s: float | None = None
    peak_bytes: int | None = None
    out_of_memory: bool = False
    """Whether the kernel killed a process because the group was at its own limit."""


def from_json(value: dict[str, Any]) -> Group:
    """The inverse of `as_json`; raises KeyError, TypeError or ValueError for anything else."""
    named = {field.name: value[field.name] for field in fields(Group)}
    paths = {name: path and Path(path) for name, path in named.items() if name != "version"}
    return Group(version=int(named["version"]), **paths)


def make(group: Group, *, memory_bytes: int | None, cpus: float) -> Group:
    """Make the group and set its limits; what is not permitted is left out of the group returned."""
    made = replace(
        group,
        memory=_if_permitted(group.memory, lambda folder: _limit_memory(folder, group.version, memory_bytes)),
        accounts=_if_permitted(group.accounts, lambda folder: None),
        cpu=_if_permitted(group.cpu, lambda folder: _limit_cpu(folder, group.version, cpus)),
    )
    return made


def enter(group: Group) -> None:
    """Move the calling process into the group; those it starts are in it from their first instant."""
    for folder in group.folders:
        (folder / "cgroup.procs").write_text("0")


def usage(group: Group) -> Usage:
    """What the group has used so far."""
    read = _memory_v2 if group.version == 2 else _memory_v1
    peak_bytes, out_of_memory = read(group.memory)
    return Usage(cpu_s=cpu_s(group), peak_bytes=peak_bytes, out_of_memory=out_of_memory)


def cpu_s(group: Group) -> float | None:
    """CPU time of all processes that are or were in the group; None where the kernel does not tell."""
    if group.version == 2:
        microseconds = _table(group.accounts, "cpu.stat").get("usage_usec")
        return None if microseconds is None else microseconds / 1e6
    nanoseconds = _number(group.accounts, "cpuacct.usage")
    return None if nanoseconds is None else nanoseconds / 1e9


def held_bytes(group: Group) -> int | None:
    """Memory the group holds, without pages of files that the kernel could drop; None where it does not tell."""
    name, droppable = (
        ("memory.current", "inactive_file") if group.version == 2 else
        ("memory.usage_in_bytes", "total_inactive_file")
    )  # fmt: skip
    used = _number(group.memory, name)
    return None if used is None else max(0, used - _table(group.memory, "memory.stat").get(droppable, 0))


def processes(group: Group) -> set[int]:
    """The processes in the group, and in groups a program has made inside it."""
    return {
        pid
        for folder in group.folders
        for inner in _inward(folder)
        for pid in _numbers(inner / "cgroup.procs")
    }


def kill(group: Group) -> None:
    """Send SIGKILL to all there is in the group now."""
    for folder in group.folders:
        with contextlib.suppress(OSError):
            (folder / "cgroup.kill").write_text("1")
    for pid in processes(group):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def remove(group: Group) -> bool:
    """Kill what is in the group and remove it; False when something in it does not die."""
    deadline = time.monotonic() + REMOVE_WITHIN_S
    while True:
        kill(group)
        for folder in group.folders:
            for inner in _inward(folder):
                with contextlib.suppress(OSError):
                    inner.rmdir()
        if not any(folder.exists() for folder in group.folders):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)


def _if_permitted(folder: Path | None, limit: Callable[[Path], None]) -> Path | None:
    if folder is None:
        return None
    try:
        folder.mkdir(exist_ok=True)
        limit(folder)
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None
    return folder


def _limit_memory(folder: Path, version: int, limit_bytes: int | None) -> None:
    if limit_bytes is None:
        return
    if version == 2:
        (folder / "memory.max").write_text(str(limit_bytes))
        _write_if_there(folder / "memory.swap.max", "0")
        _write_if_there(folder / "memory.oom.group", "1")
    else:
        (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
        _write_if_there(folder / "memory.memsw.limit_in_bytes", str(limit_bytes))


def _limit_cpu(folder: Path, version: int, cpus: float) -> None:
    if cpus <= 0:
        return
    quota = max(SMALLEST_QUOTA_US, round(cpus * HEAD_ROOM * PERIOD_US))
    # A quota above that of the group around it is refused in v1; that one holds then.
    with contextlib.suppress(OSError):
        if version == 2:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))


def _memory_v1(folder: Path | None) -> tuple[int | None, bool]:
    kills = _table(folder, "memory.oom_control").get("oom_kill", 0)
    limit, peak = _number(folder, "memory.limit_in_bytes"), _number(folder, "memory.max_usage_in_bytes")
    # A kill below the own limit is the machine's need, and no fault of this group. (`memory.failcnt`, which is
    # documented to tell, stays 0 in some kernels.)
    was_at_limit = limit is not None and peak is not None and peak > limit - LARGEST_CHARGE_BYTES
    return peak, kills > 0 and was_at_limit


def _memory_v2(folder: Path | None) -> tuple[int | None, bool]:
    events = _table(folder, "memory.events")
    return _number(folder, "memory.peak"), events.get("oom_kill", 0) > 0 and events.get("max", 0) > 0


def _inward(folder: Path) -> Iterator[Path]:
    """The folder and those in it, the innermost first."""
    return (Path(path) for path, _, _ in os.walk(folder, topdown=False))


def _write_if_there(path: Path, text: str) -> None:
    if path.exists():
        path.write_text(text)


def _number(folder: Path | None, name: str) -> int | None:
    return next(iter(_numbers(folder / name)), None) if folder else None


def _numbers(path: Path) -> list[int]:
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


def _table(folder: Path | None, name: str) -> dict[str, int]:
    """A file of lines `key number`."""
    try:
        pairs = [line.split() for line in (folder / name).read_text().splitlines()] if folder else []
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
