"""Named instants at which a process can be made to die, so that a test can kill it exactly there.

    reach("store.committed")          # in the code: free of cost unless armed
    arm("store.committed:3")          # in a process under test: kill -9 at the third time it gets there

Only processes that a test arms ever die here. A name says where: `room.what-has-just-happened`.
"""

from __future__ import annotations

import os
import signal

_left: dict[str, int] = {}


def arm(spec: str) -> None:
    """Arm `NAME[:TIMES],…`: the process kills itself when it reaches NAME for the TIMES-th time (1 if not said)."""
    for part in filter(None, spec.split(",")):
        name, _, times = part.partition(":")
        _left[name] = int(times or 1)


def reach(name: str) -> None:
    """Say that the code is at `name`; returns unless that is where this process is to die."""
    if _left and name in _left:
        _left[name] -= 1
        if _left[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
