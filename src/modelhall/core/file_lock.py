"""A lock between processes: a file that one of them holds. It goes with the process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from modelhall.core.errors import NotNow


@contextlib.contextmanager
def held(
    path: Path, *, longest_wait_s: float, ask_every_s: float = 0.01, shared: bool = False
) -> Iterator[None]:
    """Hold the lock at `path`, alone or with others that want it `shared`. The file is made if need be, unless it
    is shared. Raises NotNow when others hold it for too long."""
    with path.open("r" if shared else "a") as file:
        deadline = time.monotonic() + longest_wait_s
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NotNow(
                        f"{path} has been held for {longest_wait_s:g} s; `lsof` tells by whom", delay_s=1
                    ) from None
            time.sleep(ask_every_s)
        yield
