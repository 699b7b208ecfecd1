"""Parquet. Images and sounds as Hugging Face stores them, {bytes, path}, become plain bytes."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from modelhall.stages.prepare.formats import _columnar
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table


def read(files: Sequence[Part]) -> Table:
    """All columns of all files."""
    return _columnar.read(files, pl.scan_parquet, "parquet")
