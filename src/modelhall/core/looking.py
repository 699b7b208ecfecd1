"""What is asked about artifacts, prepared data above all: the contract between the control plane, which loads nothing
that reads rows, and `stages/look`, the program that does.

The question goes to its standard input, since an expression may hold what is nobody's business and arguments are for
everybody to see. Its answer is JSON, or for `export` a tar of files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from modelhall.core.kinds.base import Frozen

PROGRAM = "modelhall.stages.look"

Form = Literal["parquet", "jsonl"]


class Question(Frozen):
    """About one artifact, or two to be compared, or several to be gone through."""

    ask: Literal["rows", "record", "compare", "match", "export", "told", "paired"]
    """A file in `stages/look`."""
    blobs: str
    cache: Path
    artifacts: tuple[str, ...]
    split: str | None = None
    """None for all."""
    limit: int = 5
    """Rows at most, or examples."""
    where: str = ""
    form: Form = "parquet"
