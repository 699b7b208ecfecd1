"""The processes that work on shards side by side, one processor each."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_AHEAD = 2
"""Jobs for each process that are handed out before the first of them is done."""


class Workers:
    """So many processes, from when they are first needed until this is closed. One process is this one."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def each(self, work: Callable[[T], Any], jobs: Iterable[T]) -> Iterator[Any]:
        """What `work` makes of each job, in their order."""
        if self._processes == 1:
            yield from map(work, jobs)
            return
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, spawn, initializer=_use_one_processor)
        handed: deque[Future[Any]] = deque()
        for job in jobs:
            handed.append(self._pool.submit(work, job))
            if len(handed) >= self._processes * _AHEAD:
                yield handed.popleft().result()
        while handed:
            yield handed.popleft().result()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _use_one_processor() -> None:
    """Libraries read these when they first start threads of their own, which in a new process none has done."""
    for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
