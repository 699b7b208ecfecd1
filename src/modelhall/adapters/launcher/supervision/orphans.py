"""Ends what a supervisor that was killed has left running, before anybody starts the next attempt.

    python -m modelhall.adapters.launcher.supervision.orphans FOLDER

It has to run where the supervisor ran.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher.supervision.claim import is_same_or_gone
from modelhall.adapters.launcher.supervision.descendants import marked
from modelhall.adapters.launcher.supervision.record import Process, read

END_WITHIN_S = 2.0


def end_orphans(folder: Path) -> None:
    """Kill all processes of the attempt in `folder`, wherever they have got to."""
    child = read(folder / supervisor.CHILD, Process)
    # While one process of its group lives, no other process gets the group's number.
    if child is not None and child.pid is not None and is_same_or_gone(child.pid, child.ticks):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + END_WITHIN_S
    while (left := marked(folder)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


if __name__ == "__main__":
    end_orphans(Path(sys.argv[1]))
