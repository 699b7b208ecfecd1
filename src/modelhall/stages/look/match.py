"""How many rows an expression is true of, in each split of each version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.core.files import read_json
from modelhall.core.looking import Question
from modelhall.stages import _data
from modelhall.stages.look import unpacked
from modelhall.stages.prepare.erasing import matching


def answer(question: Question) -> list[dict[str, int] | None]:
    """For each artifact, split → rows; None where its columns do not tell, but those of its source may. Raises
    Rejected for an expression that the newest of them, which is the last, has no use for in either form."""
    newest, found = question.artifacts[-1], []
    for artifact in question.artifacts:
        with unpacked(question, artifact) as folder:
            found.append(_counted(folder, question.where, must_work=artifact == newest))
    return found


def _counted(folder: Path, where: str, *, must_work: bool) -> dict[str, int] | None:
    counts: dict[str, int] = {}
    try:
        for split in _data.splits(folder):
            files = (pl.read_parquet(path) for path in _data.files(folder, split))
            counts[split] = sum(int(matching(rows, where).sum()) for rows in files)
    except Rejected:
        if must_work and not _may_work_as_read(folder, where):
            raise
        return None
    return counts


def _may_work_as_read(folder: Path, where: str) -> bool:
    """Whether the source has the columns that the expression names."""
    steps: list[dict[str, Any]] = (read_json(folder / "dataset.json") or {}).get("steps", [])
    names: dict[str, str] = next((step["before"] for step in steps if "before" in step), {})
    try:
        matching(pl.DataFrame(schema={name: _kind(told) for name, told in names.items()}), where)
    except Rejected:
        return False
    return True


def _kind(told: str) -> pl.DataType:
    """The type that dataset.json tells of a column, as far as expressions make a difference."""
    plain = {
        "str": pl.String(),
        "bool": pl.Boolean(),
        "float64": pl.Float64(),
        "date": pl.Date(),
        "binary": pl.Binary(),
    }
    if told.startswith("datetime"):
        return pl.Datetime()
    return plain.get(told, pl.Int64() if "int" in told else pl.Float64() if "float" in told else pl.String())
