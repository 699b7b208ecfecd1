"""Who has an attempt, and whether a process is still the one that was written down.

Whoever creates `supervisor.json` first has the attempt; so a supervisor that comes too late does nothing.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
from pathlib import Path

from modelhall.core import files

CLAIM = "supervisor.json"


def claim(folder: Path, pid: int | None) -> bool:
    """Take the attempt in `folder` for process `pid`, or for nobody; False when it is taken already.

    Durable when it returns, so that no power cut gives a program that has run a second one beside it.
    """
    text = json.dumps({"pid": pid, "ticks": start_ticks(pid) if pid else None})
    temporary = folder / f".{CLAIM}.{secrets.token_hex(6)}"
    files.write_bytes(temporary, text.encode())
    try:
        os.link(temporary, folder / CLAIM)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    files.sync_folder(folder)
    return True


def is_running(pid: int, ticks: str | None) -> bool:
    """Whether this process is alive, and is that process and not another with its number."""
    found = start_ticks(pid)
    return found is not None and found == ticks


def is_same_or_gone(pid: int, ticks: str | None) -> bool:
    """Whether no other process has got this number since."""
    return start_ticks(pid) in (ticks, None)


def start_ticks(pid: int) -> str | None:
    """When a process started, as a word that no later process of the same number shares; None for none or a
    zombie. The boot is part of it, since numbers and ticks begin anew with every boot."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{_boot()}/{fields[19]}"
    except OSError:
        return None


@functools.cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
