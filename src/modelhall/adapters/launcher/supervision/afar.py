"""What a supervisor does besides for a hall that is on another machine, and shares but the folder with it.

No signal of the hall's reaches it, so it looks for a stop now and then; and nobody there sees its processes, so it
writes down what they take.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from pathlib import Path

from modelhall.adapters.launcher.supervision.descendants import (
    NO_NEED_TO_BE_EXACT,
    cpu_s,
    descendants,
    disk_bytes,
    held_bytes,
)

TAKEN = "taken.json"


class Afar:
    """Looks every `look_s`; never when that is None, since the hall is here."""

    def __init__(self, folder: Path, look_s: float | None) -> None:
        self._folder = folder
        self._look_s = look_s
        self.looks_at = math.inf if look_s is None else time.monotonic()
        """When it looks next, by the monotonic clock."""

    def look(self, now: float) -> None:
        """Write down what the attempt takes."""
        self.looks_at = now + (self._look_s or math.inf)
        pid = os.getpid()
        read, written = disk_bytes(pid) or (None, None)
        figures = {
            "cpu_s": cpu_s(pid),
            "memory_bytes": held_bytes(descendants(pid), over=NO_NEED_TO_BE_EXACT),
            "read_bytes": read,
            "written_bytes": written,
        }
        # Figures of a moment: when a power cut takes them, nothing is missed.
        temporary = self._folder / f".{TAKEN}"
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(figures))
            temporary.replace(self._folder / TAKEN)
