"""The programs of this folder, each in a process of its own that prints where it listens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SUPPORT / program), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
