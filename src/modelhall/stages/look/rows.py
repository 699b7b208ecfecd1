"""Some rows, to look at."""

from __future__ import annotations

import base64
from typing import Any

import polars as pl

from modelhall.core.errors import NotFound
from modelhall.core.looking import Question
from modelhall.stages import _data
from modelhall.stages.look import unpacked


def answer(question: Question) -> list[dict[str, Any]]:
    """The first rows of a split; bytes as base64. Raises NotFound when there is no such split."""
    with unpacked(question, question.artifacts[0]) as folder:
        there = _data.splits(folder)
        split = question.split or there[0]
        if split not in there:
            raise NotFound(f"no split {split!r}; there is: {', '.join(there)}", field="split")
        rows = pl.scan_parquet(_data.files(folder, split)).head(question.limit).collect()
        return plain(rows)


def plain(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows.to_dicts()]


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
