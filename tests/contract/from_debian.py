"""Servers for tests that come as Debian packages: found, or installed where that may be done."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

INSTALL_S = 300.0

T = TypeVar("T")


def found_or_installed(package: str, find: Callable[[], T | None]) -> T:
    """What `find` finds, after the package is installed if need be. Raises LookupError with one line when it cannot
    be."""
    if (found := find()) is not None:
        return found
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise LookupError(f"there is no {package} here, and it takes root and apt-get to install one")
    install = [apt, "install", "-y", "-qq", "--no-install-recommends", package]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Others that test at the same time wait, and find it there.
    with Path(tempfile.gettempdir(), f"hall-{package}-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (install, [apt, "update", "-qq"], install):
            if (found := find()) is not None:
                return found
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(command, capture_output=True, env=environment, timeout=INSTALL_S, check=False)
    if (found := find()) is None:
        raise LookupError(f"{package} could not be installed with apt-get")
    return found
