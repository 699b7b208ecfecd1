"""A function of one's own, in a Python file; it runs in the job's own processes.

- map: {file: steps.py, function: shout}
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from modelhall.core.errors import Failed, Rejected
from modelhall.stages.prepare.steps import Done, File, Marks


def fit(train: Marks, *, file: File, digest: str | None = None) -> dict[str, str]:
    """The file's content, so that replicas run the very same. `file` is a path or URL as a data set's own source is;
    with `digest`, no file with another SHA-256 is run."""
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise Rejected(f"{file} cannot be read: {error.strerror}", field="file") from None
    found = hashlib.sha256(content).hexdigest()
    if digest is not None and found != digest:
        raise Rejected(f"{file} has the digest {found}, not {digest}", field="digest")
    return {"source": content.decode()}


def apply(rows: pl.DataFrame, fitted: dict[str, str], *, function: str = "apply") -> Done:
    """The function is given a polars frame and returns one with as many rows; of each row alone, since nobody knows
    which others it comes with."""
    module = _module(fitted["source"])
    if not callable(getattr(module, function, None)):
        raise Rejected(f"the file defines no function {function!r}", field="function")
    try:
        made: Any = getattr(module, function)(rows)
    except Exception as error:
        raise Failed(f"{function} failed: {type(error).__name__}: {error}", field="map") from error
    if not isinstance(made, pl.DataFrame) or made.height != rows.height:
        shown = f"{made.height} rows" if isinstance(made, pl.DataFrame) else type(made).__name__
        raise Rejected(f"{function} returned {shown} for {rows.height} rows", field="function")
    return Done(rows=made)


@lru_cache(maxsize=8)
def _module(source: str) -> ModuleType:
    module = ModuleType("map")
    # The user's own code in the user's own job, which is what the step is for.
    exec(compile(source, "map", "exec"), module.__dict__)  # noqa: S102
    return module
