"""One small process beside every attempt: starts its program, waits for it, and writes down how it ended.

It outlives the hall, so that an attempt's end is on record whoever is there to see it. It holds the claim on the
attempt: whoever creates `supervisor.json` first has it, so a supervisor that comes too late does nothing.

    python -m modelhall.adapters.launcher.supervisor FOLDER
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from modelhall.core import files

CLAIM, CHILD, STOP, EXIT = "supervisor.json", "child.json", "stop.json", "exit.json"
PR_SET_PDEATHSIG = 1


def main() -> None:
    folder = Path(sys.argv[1])
    if not claim(folder, os.getpid()):
        return
    launch = json.loads((folder / "launch.json").read_bytes())
    group: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: _end_gently(folder, group))
    signal.signal(signal.SIGALRM, lambda *_: _signal_group(group, signal.SIGKILL))
    try:
        child = subprocess.Popen(
            launch["argv"],
            cwd=folder,
            env=launch["env"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _before_program(launch["memory_bytes"]),
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"cannot start {launch['argv'][0]}: {error}\n")
        message = f"cannot start {launch['argv'][0]!r}: {error}"
        files.write_json(
            folder / "result.json", {"problem": {"message": message, "who": "caller", "field": "command"}}
        )
        _write_exit(folder, code=127, signal_number=None, usage=None)
        return
    group.append(child.pid)
    files.write_json(folder / CHILD, {"pid": child.pid, "ticks": _start_ticks(child.pid)})
    if (folder / STOP).exists():
        _end_gently(folder, group)
    _, status, usage = os.wait4(child.pid, 0)
    _signal_group(group, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    _write_exit(
        folder, code=code if code >= 0 else None, signal_number=-code if code < 0 else None, usage=usage
    )


def claim(folder: Path, pid: int | None) -> bool:
    """Take the attempt in `folder` for process `pid`, or for nobody; False when it is taken already."""
    text = json.dumps({"pid": pid, "ticks": _start_ticks(pid) if pid else None})
    temporary = folder / f".{CLAIM}.{os.getpid()}"
    temporary.write_text(text)
    try:
        os.link(temporary, folder / CLAIM)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def is_running(pid: int, ticks: str | None) -> bool:
    """Whether this process is alive, and is that process and not another with its number."""
    found = _start_ticks(pid)
    return found is not None and found == ticks


def is_same_or_gone(pid: int, ticks: str | None) -> bool:
    """Whether no other process has got this number since."""
    return _start_ticks(pid) in (ticks, None)


def _start_ticks(pid: int) -> str | None:
    """When a process started, as a word that no later process of the same number shares; None for none or a
    zombie. The boot is part of it, since numbers and ticks begin anew with every boot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _before_program(memory_bytes: int | None) -> None:
    """In the new process: end with the supervisor, and stay within the memory asked for."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def _end_gently(folder: Path, group: list[int]) -> None:
    """Ask the program's processes to end, and set the alarm that ends them."""
    _signal_group(group, signal.SIGTERM)
    grace_s = (files.read_json(folder / STOP) or {}).get("grace_s", 10.0)
    signal.setitimer(signal.ITIMER_REAL, max(grace_s, 0.001), 1.0)


def _signal_group(group: list[int], number: signal.Signals) -> None:
    for pid in group:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


def _write_exit(
    folder: Path, *, code: int | None, signal_number: int | None, usage: resource.struct_rusage | None
) -> None:
    files.write_json(
        folder / EXIT,
        {
            "code": code,
            "signal": signal_number,
            "stopped": (folder / STOP).exists(),
            "cpu_s": usage.ru_utime + usage.ru_stime if usage else 0.0,
            "peak_bytes": usage.ru_maxrss * 1024 if usage else 0,
            "ended_at": time.time(),
        },
    )


if __name__ == "__main__":
    main()
