"""Processes under another, found through /proc: their memory, their CPU time, and those that were left behind.

For machines where no control group may be made, and for what a killed supervisor leaves.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
MARK = "MODELHALL_ATTEMPT"
"""The variable that holds an attempt's folder in the environment of its processes."""
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
NO_NEED_TO_BE_EXACT = 2**62
"""More memory than there is: whatever is held, an upper figure of it will do."""
_HELD = ("Pss_Anon", "Pss_Shmem", "SwapPss")


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    if not _tells_children():
        return [int(name) for name in _all() if _stat(int(name))[1:2] == [str(pid)]]
    try:
        threads = os.listdir(PROC / str(pid) / "task")
        lists = [(PROC / str(pid) / "task" / thread / "children").read_text() for thread in threads]
    except OSError:
        return []
    return [int(word) for text in lists for word in text.split()]


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, `pid` itself left out."""
    found: list[int] = []
    due = children(pid)
    while due:
        found += due
        due = [below for each in due for below in children(each)]
    return found


def marked(folder: Path) -> list[int]:
    """The processes that carry the mark of the attempt in `folder`, wherever they have got to."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for name in _all():
        try:
            environment = (PROC / name / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment.split(b"\0"):
            found.append(int(name))
    return found


def cpu_s(pid: int) -> float:
    """CPU time of all processes below `pid`, also of those that have ended and been waited for."""
    own = _stat(pid)
    # Of `pid` itself only what it has inherited: fields 15 and 16 of `man 5 proc`, counted from the state.
    ticks = sum(map(int, own[13:15])) if own else 0
    ticks += sum(int(word) for below in descendants(pid) for word in _stat(below)[11:15])
    return ticks / TICKS_A_SECOND


def disk_bytes(pid: int) -> tuple[int, int] | None:
    """What `pid`, all processes below it, and those it has waited for have read from disks and written to them. None
    when the kernel does not tell (CONFIG_TASK_IO_ACCOUNTING), or not us."""
    own = _disk_bytes(pid)
    if own is None:
        return None
    parts = [own, *filter(None, map(_disk_bytes, descendants(pid)))]
    return sum(read for read, _ in parts), sum(written for _, written in parts)


def held_bytes(pids: Iterable[int], *, over: int) -> int:
    """Memory these processes hold: an upper figure while it is at most `over`, else as exact as the kernel tells.

    Resident pages count once for every process that shares them, which is cheap to ask and never too little. The
    exact figure shares them out and leaves out pages of files, which the kernel can take back.
    """
    pids = list(pids)
    rough = sum(map(_resident_bytes, pids))
    return rough if rough <= over else sum(map(_exact_bytes, pids))


@functools.cache
def _tells_children() -> bool:
    """Whether the kernel lists a process's children (CONFIG_PROC_CHILDREN); if not, all have to be looked at."""
    return (PROC / "self" / "task" / str(os.getpid()) / "children").exists()


def _all() -> list[str]:
    return [name for name in os.listdir(PROC) if name.isdecimal()]


def _resident_bytes(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _exact_bytes(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return _resident_bytes(pid)
    words = [line.split() for line in lines]
    return sum(int(found[1]) * 1024 for found in words if found[0].rstrip(":") in _HELD)


def _disk_bytes(pid: int) -> tuple[int, int] | None:
    try:
        lines = (PROC / str(pid) / "io").read_text().splitlines()
    except OSError:
        return None
    told = dict(line.split(": ") for line in lines)
    return int(told["read_bytes"]), int(told["write_bytes"])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty when there is no such process."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
