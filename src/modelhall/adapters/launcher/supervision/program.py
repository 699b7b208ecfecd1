"""How a supervisor starts the program of an attempt: what it inherits and what binds it to its supervisor."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from modelhall.adapters.launcher.supervision.confinement import Confinement
from modelhall.adapters.launcher.supervision.limits import Limits

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends, so that none gets out of sight."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def start(launch: dict[str, Any], folder: Path, output: int, limits: Limits) -> subprocess.Popen[bytes]:
    """Start the program under its limits, writing to `output`, and holding what it is handed, which this process
    lets go.

    Raises OSError, ValueError or SubprocessError.
    """
    handed: dict[str, int] = launch["handed"]
    inherited = {name: os.environ[name] for name in launch["inherits"] if name in os.environ}
    numbers = {variable: str(descriptor) for variable, descriptor in handed.items()}
    environment = launch["env"] | inherited | numbers
    supervisor = os.getpid()
    try:
        with contextlib.closing(_confinement(launch)) as confinement:
            return subprocess.Popen(
                launch["argv"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=tuple(handed.values()),
                preexec_fn=lambda: _before_program(supervisor, limits, confinement),
            )
    finally:
        for descriptor in handed.values():
            os.close(descriptor)


def _confinement(launch: dict[str, Any]) -> Confinement:
    try:
        return Confinement(Path(launch["hidden"]), map(Path, launch["open_within"]))
    except OSError as error:
        raise subprocess.SubprocessError(f"the program cannot be confined: {error}") from error


def _before_program(supervisor: int, limits: Limits, confinement: Confinement) -> None:
    """In the new process: end with the supervisor, come under the limits, and keep out of what is the hall's."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os.kill(os.getpid(), signal.SIGKILL)  # it ended before it could be bound to
    limits.apply()
    confinement.apply()
