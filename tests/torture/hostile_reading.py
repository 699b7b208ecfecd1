"""A program that loads hostile files in the hall's own ways: `python hostile_reading.py SEED FIRST END FOLDER`.

Prints one JSON line before each case and one after it, so that a case which ends the program is known. Memory is
bounded, and each case has its time; where either does not do, the loader has not refused what it should have.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "hostile"))

import hostile_files
from loading import LOADERS, Passed, good
from watching import watching

from modelhall.core.errors import HallError
from modelhall.trust.signing import KeyFolder

SAID, sys.stdout = sys.stdout, sys.stderr
"""What is said here; what loaders print goes elsewhere."""
SPARE_BYTES = 1 << 30
"""What a case may take beyond what the program has when all is loaded."""
LONGEST_S = 60


class TooSlow(BaseException):
    """Not an Exception, so that no loader can take it for a mistake in a file."""


def main(seed: int, numbers: range, folder: Path) -> None:
    warnings.simplefilter("ignore")
    parts = _warm_up(folder / f"good-{os.getpid()}")
    # What is there by now stays; after each case only what the case has left is gone through.
    gc.freeze()
    _bound_memory()
    signal.signal(signal.SIGALRM, _too_slow)
    for number, case in zip(
        numbers, hostile_files.cases(seed, numbers, parts, folder / "cases"), strict=True
    ):
        _say({"number": number, "loader": case.loader, "about": case.about})
        _say({"number": number, **_result(case)})
        shutil.rmtree(case.canary.parent, ignore_errors=True)


def _warm_up(folder: Path) -> Path:
    """Load what loads, so that the modules it takes are there before anything is watched."""
    parts = good(folder)
    # Whoever first asks where temporary files go tries it out by a file there.
    tempfile.gettempdir()
    (parts / "signing.pub").write_text(KeyFolder(folder / "keys").current().pem)
    files = {
        "load_image_model": "image", "load_text_model": "text", "load_checkpoint": "checkpoints",
        "read_picture": "picture.png", "answer_request": "request.json", "read_hall_file": "hall.yaml",
    }  # fmt: skip
    for loader, name in files.items():
        with watching(folder) as watch:
            LOADERS[loader](parts / name)
        assert not watch.seen, f"{loader} does by itself what is watched for: {watch.seen}"
    return parts


def _result(case: hostile_files.Case) -> dict[str, Any]:
    message, outcome = "", "loaded"
    signal.alarm(LONGEST_S)
    with watching(case.path.parent) as watch:
        try:
            LOADERS[case.loader](case.path)
        except (HallError, Passed) as error:
            outcome, message = "refused", str(error)
        except TooSlow:
            outcome = "too slow"
        except MemoryError:
            outcome = "too large"
        except BaseException as error:  # noqa: BLE001 - whatever a loader lets out is what is asked here
            outcome = "failed" if isinstance(error, Exception) else "panicked"
            message = "".join(traceback.format_exception(error)[-3:])
    signal.alarm(0)
    gc.collect()
    if not case.canary.exists():
        watch.seen.append("the canary is gone")
    return {"outcome": outcome, "message": message[:600], "seen": watch.seen}


def _bound_memory() -> None:
    status = Path("/proc/self/status").read_text()
    size_kib = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmSize")))
    resource.setrlimit(resource.RLIMIT_AS, (size_kib * 1024 + SPARE_BYTES,) * 2)


def _too_slow(number: int, frame: object) -> None:
    raise TooSlow


def _say(facts: dict[str, Any]) -> None:
    SAID.write(json.dumps(facts) + "\n")
    SAID.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), range(int(sys.argv[2]), int(sys.argv[3])), Path(sys.argv[4]))
