"""How a supervisor starts the program of an attempt: what it inherits and what binds it to its supervisor."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from modelhall.adapters.launcher.supervision.limits import Limits
from modelhall.core import secrets

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends, so that none gets out of sight."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def start(launch: dict[str, Any], folder: Path, output: int, limits: Limits) -> subprocess.Popen[bytes]:
    """Start the program under its limits, writing to `output`, and holding its secrets, which this process lets go.

    Raises OSError, ValueError or SubprocessError.
    """
    handed: int | None = launch["secrets_fd"]
    environment = launch["env"] | ({secrets.VARIABLE: str(handed)} if handed is not None else {})
    supervisor = os.getpid()
    try:
        return subprocess.Popen(
            launch["argv"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=() if handed is None else (handed,),
            preexec_fn=lambda: _before_program(supervisor, limits),
        )
    finally:
        if handed is not None:
            os.close(handed)


def _before_program(supervisor: int, limits: Limits) -> None:
    """In the new process: end with the supervisor, and come under the limits."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os.kill(os.getpid(), signal.SIGKILL)  # it ended before it could be bound to
    limits.apply()
