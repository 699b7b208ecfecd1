"""Signs of life: how a worker that hangs is told from one that works, and from one that waits for it.

Who works takes processor time, is about to, or waits for a disk. Who does none of it for a while, and does not wait
for the others, hangs: in a deadlock, on a mount that is gone, or stopped. No step is too long for this, and no
validation.
"""

from __future__ import annotations

import mmap

import psutil

HANGS_AFTER_S = 10.0
_LEAST_CPU_S = 0.02
"""Threads that only wake up to wait on take less between two looks."""
_ALIVE = (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)


class Waiting:
    """Whether a worker waits for the others: a byte that it shares with the leader."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    def __call__(self, waits: bool) -> None:
        self._shared[0] = waits

    def __bool__(self) -> bool:
        return bool(self._shared[0])

    def close(self) -> None:
        self._shared.close()


class Signs:
    """Those of one process."""

    def __init__(self, pid: int, now: float) -> None:
        self._process = psutil.Process(pid)
        self._cpu_s = 0.0
        self._alive_at = now

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped it by a signal."""
        try:
            return self._process.status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    def still_s(self, now: float) -> float:
        """For how long it has given none; ask often, since only what is seen counts."""
        try:
            cpu_s = sum(self._process.cpu_times()[:2])
            alive = cpu_s - self._cpu_s > _LEAST_CPU_S or self._process.status() in _ALIVE
        except psutil.Error:
            return 0.0  # it is gone, which its pipe tells
        if alive:
            self._cpu_s, self._alive_at = cpu_s, now
        return now - self._alive_at
