"""Make pictures grey.

- grayscale: {column: image}
"""

from __future__ import annotations

import polars as pl

from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._pictures import each


def apply(rows: pl.DataFrame, *, column: str = "image") -> Done:
    """Keep the brightness alone (ITU-R 601-2 luma), as grey PNG."""
    return Done(rows=each(rows, column, lambda picture: picture.convert("L")))
