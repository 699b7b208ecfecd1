"""One small process beside every attempt: starts its program, waits for it, and writes down how it ended.

It outlives the hall, so that an attempt's limits hold and its end is on record whoever is there to see it. Its steps:
claim the attempt, make its limits, start the program, attend to it (`supervision/attendance.py`), write the exit.

    python -m modelhall.adapters.launcher.supervisor FOLDER [FAILPOINTS]
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from modelhall.adapters.launcher.supervision import left, log
from modelhall.adapters.launcher.supervision.attendance import STOP, Attendance, Bell
from modelhall.adapters.launcher.supervision.claim import CLAIM, claim, start_ticks
from modelhall.adapters.launcher.supervision.limits import Limits
from modelhall.adapters.launcher.supervision.log import LogWriter
from modelhall.adapters.launcher.supervision.program import adopt_orphans, start
from modelhall.core import failpoints, files

__all__ = ["CHILD", "CLAIM", "EXIT", "LAUNCH", "RESULT", "STOP", "claim", "main"]

LAUNCH, CHILD, EXIT, RESULT = "launch.json", "child.json", "exit.json", "result.json"
SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
RETRY_S = 1.0


def main() -> None:
    folder = Path(sys.argv[1])
    failpoints.arm(sys.argv[2] if len(sys.argv) > 2 else "")
    # Before the claim, since whoever sees the claim may send a signal.
    bell = Bell()
    if not claim(folder, os.getpid()):
        return
    failpoints.reach("supervisor.claimed")
    launch = json.loads((folder / LAUNCH).read_bytes())
    output = LogWriter(folder / log.FOLDER, segment_bytes=launch["segment_bytes"])
    try:
        _carry_out(folder, launch, output, bell)
    except Exception:  # noqa: BLE001 - the last line of defence: what went wrong belongs where it will be read
        output.say(traceback.format_exc())
        sys.exit(70)
    finally:
        output.close()


def _carry_out(folder: Path, launch: dict[str, Any], output: LogWriter, bell: Bell) -> None:
    adopt_orphans()
    if launch["afar_look_s"] is not None:
        # The numbers it was told are those of descriptors on the hall's machine.
        launch["handed"] = left.take(folder)
    limits = Limits(launch)
    reading, writing = os.pipe()
    try:
        program = start(launch, folder, writing, limits)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        limits.lift()
        _refuse(folder, launch, output, error)
        return
    finally:
        os.close(writing)
    failpoints.reach("supervisor.child-started")
    _record(folder, program.pid, output)
    failpoints.reach("supervisor.child-recorded")
    attendance = Attendance(
        folder=folder, launch=launch, pid=program.pid, output=reading, limits=limits, log=output, bell=bell
    )
    status = attendance.until_over()
    program.returncode = status  # so that it does not wait for a number that may be another's by now
    exit = _exit_of(folder, status, attendance, limits)
    limits.lift()
    output.close()
    _write_at_last(folder / EXIT, exit)
    failpoints.reach("supervisor.exit-written")


def _record(folder: Path, pid: int, output: LogWriter) -> None:
    """Write down the program's number, for whoever has to end it when this process is gone."""
    try:
        files.write_json(folder / CHILD, {"pid": pid, "ticks": start_ticks(pid)})
    except OSError as error:
        # No reason to end a run: its processes are found by other marks, too.
        output.say(f"cannot write {CHILD}: {error}")


def _refuse(folder: Path, launch: dict[str, Any], output: LogWriter, error: Exception) -> None:
    """Put on record that the program could not be started, and who must act."""
    message = f"cannot start {launch['argv'][0]!r}: {error}"
    output.say(message)
    if isinstance(error, subprocess.SubprocessError):
        problem = {"message": message, "who": "us"}
    elif isinstance(error, OSError) and error.errno in SCARCE:
        problem = {"message": message, "who": "time"}
    else:
        problem = {"message": message, "who": "caller", "field": "command"}
    _write_at_last(folder / RESULT, {"problem": problem})
    _write_at_last(folder / EXIT, {"code": 127, "ended_at": time.time()})


def _exit_of(folder: Path, status: int, attendance: Attendance, limits: Limits) -> dict[str, Any]:
    """How the attempt ended, as `core.kinds.run.Exit` reads it."""
    code = os.waitstatus_to_exitcode(status)
    used = limits.usage()
    return {
        "code": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "stopped": attendance.was_stopped,
        "timed_out": attendance.timed_out,
        "out_of_memory": used.out_of_memory,
        "cpu_s": used.cpu_s,
        "peak_bytes": used.peak_bytes,
        "ended_at": time.time(),
    }


def _write_at_last(path: Path, value: Any) -> None:
    """Write what must be on record, however long a full disk makes it wait."""
    while True:
        try:
            files.write_json(path, value)
            return
        except FileNotFoundError:
            return  # the run was forgotten
        except OSError:
            time.sleep(RETRY_S)


if __name__ == "__main__":
    main()
