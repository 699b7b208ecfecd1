"""How much memory this process may hold, what happens beyond that, and what it does with what is freed."""

from __future__ import annotations

import ctypes
import resource

import psutil

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_LARGEST = 2**30


def limit(given_bytes: int | None) -> int:
    """What this process may hold: what it was given, or what the machine has left for it."""
    free = psutil.virtual_memory().available + psutil.Process().memory_info().rss
    return free if given_bytes is None else min(given_bytes, free)


def keep_what_is_freed() -> None:
    """Have the process keep the memory that tensors leave. The kernel clears whatever it hands out, and that took a
    tenth of a step. Without effect where the C library is another than glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST)


def refuse_beyond(limit_bytes: int) -> None:
    """Have `malloc` fail when this process holds so much, so that it can do something about it; a control group would
    end it."""
    held = psutil.Process().memory_info()
    # Stacks and the like are reserved and not held, and the kernel counts them here.
    reserved = max(0, held.data - held.rss)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = limit_bytes + reserved
    resource.setrlimit(
        resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most)
    )
