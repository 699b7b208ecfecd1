"""The folders of runs in a backup: checkpoints, logs, results; nothing that speaks for a process.

An attempt that had not ended when the backup was made ends with it: a restored hall finds it stopped, and has the run
go on in another attempt from its newest checkpoint.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher.supervision.afar import TAKEN
from modelhall.adapters.launcher.supervision.left import HANDED
from modelhall.app.keep.archive import RUNS, is_name
from modelhall.app.keep.writer import Writer

STATE = "state"
OF_PROCESSES = (supervisor.CLAIM, supervisor.CHILD, supervisor.LAUNCH, supervisor.STOP, HANDED, TAKEN, "tmp")
OF_THE_END = (supervisor.RESULT, supervisor.EXIT)
LOOKS = 10
HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{12}")
"""What `core.files` calls a file that is not whole yet."""


def add_run(writer: Writer, folder: Path, *, at: float) -> None:
    """Add the folder of one run to a backup made at `at`."""
    _add_state(writer, folder)
    for attempt in sorted(path for path in folder.glob("*") if path.name.isdecimal() and path.is_dir()):
        # Looked at before all else: what an attempt that is over has left does not change any more.
        over = (attempt / supervisor.EXIT).exists()
        for path in _plain_files(attempt):
            first, is_top = path.relative_to(attempt).parts[0], path.parent == attempt
            if first in OF_PROCESSES or (not over and is_top and first in OF_THE_END):
                continue
            _add(writer, folder, path)
        if not over:
            told = json.dumps({"stopped": True, "ended_at": at}).encode()
            writer.add_bytes(f"{RUNS}{folder.name}/{attempt.name}/{supervisor.EXIT}", told)


def _add_state(writer: Writer, folder: Path) -> None:
    """Checkpoints come and go while they are copied: one looks again until none has gone, so that the newest that was
    there when one looked last is in the backup."""
    done: set[Path] = set()
    for _ in range(LOOKS):
        new = [path for path in _plain_files(folder / STATE) if path not in done]
        done |= {path for path in new if _add(writer, folder, path)}
        if done >= set(new):
            return


def _add(writer: Writer, folder: Path, path: Path) -> bool:
    """Add one file as it is now; False when it has gone."""
    name = f"{RUNS}{folder.name}/{path.relative_to(folder).as_posix()}"
    if not is_name(name):
        writer.leave_out(name, "its name cannot be kept")
        return True
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    except FileNotFoundError:
        return False
    except OSError as error:
        writer.leave_out(name, str(error.strerror))
        return True
    with file:
        writer.add(name, file, os.fstat(file.fileno()).st_size)
    return True


def _plain_files(folder: Path) -> Iterator[Path]:
    """Every plain file below a folder; links are not followed."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            try:
                is_plain = stat.S_ISREG(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            if is_plain and not HALF_WRITTEN.fullmatch(name):
                yield path
