"""What a supervisor on another machine is handed: left in the attempt's folder, readable by the hall's user alone,
and taken from there by the supervisor that has the attempt.

A descriptor cannot be handed to another machine, and arguments, environment and script of a batch job are kept by the
batch system. What is left here is gone from the disk before the program begins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

HANDED = "handed.json"


def leave(folder: Path, handed: Mapping[str, int]) -> None:
    """Leave what these descriptors hold, each under its variable."""
    if not handed:
        return
    values = {
        name: json.loads(os.pread(number, os.fstat(number).st_size, 0)) for name, number in handed.items()
    }
    descriptor = os.open(folder / HANDED, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(descriptor)


def take(folder: Path) -> dict[str, int]:
    """What was left, as descriptors of files in memory, by variable; it is gone from the folder. Raises OSError when
    it cannot be removed."""
    try:
        descriptor = os.open(folder / HANDED, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    with os.fdopen(descriptor) as file:
        values = json.load(file)
    remove(folder)
    # Brings a library for encryption, which takes longer to import than a supervisor without secrets takes to start.
    from modelhall.core.secrets import sealed

    return {name: sealed(value) for name, value in values.items()}


def remove(folder: Path) -> None:
    """Leave it no longer. Raises OSError."""
    (folder / HANDED).unlink(missing_ok=True)
