"""Rows that were erased are in no version: they are dropped as they are read, before any step sees them, and what
matches only once all steps are done is dropped then.

An expression is carried out wherever there are the columns it names, with types that it works on: at the one place,
at the other, or at both. Where it works at neither, there is no version. Which rows are meant comes as secrets; it is
in no report, and neither is any such row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.core.kinds.dataset import secret_of
from modelhall.stages.prepare.plan import Part, Planned
from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._expressions import expression

ERASED = "erased"


@dataclass(frozen=True, kw_only=True)
class Meant:
    """The rows of one erasure."""

    id: str
    where: str


def handed(ids: Sequence[str], secrets: Mapping[str, str]) -> tuple[Meant, ...]:
    """The erasures an order names, with what was handed over with it."""
    return tuple(Meant(id=id, where=secrets[secret_of(id)]) for id in ids)


def matching(rows: pl.DataFrame, where: str) -> pl.Series:
    """A Boolean for each row. Raises Rejected unless the expression can be read, and works on these columns."""
    try:
        found = rows.select(expression(where, rows.columns).alias(ERASED)).to_series()
    except pl.exceptions.PolarsError as error:
        raise Rejected(f"it does not work on these columns: {error}", field="where") from None
    if found.dtype not in (pl.Boolean, pl.Null):
        raise Rejected(f"it comes to {found.dtype}, not to true or false for each row", field="where")
    told = found.cast(pl.Boolean).fill_null(False)
    return told if len(told) == rows.height else pl.repeat(bool(told.any()), rows.height, eager=True)


def works_on(schema: pl.Schema, where: str) -> bool:
    """Whether the expression works on rows of this schema."""
    try:
        matching(pl.DataFrame(schema=schema), where)
    except Rejected:
        return False
    return True


class Sieve:
    """Drops erased rows as they are read."""

    def __init__(self, erasures: Sequence[Meant]) -> None:
        self._erasures = erasures
        self.dropped = 0
        self.reached: set[str] = set()
        """Ids of those that work on the rows as they are read."""

    def keep(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that stay."""
        for erasure in self._erasures:
            if works_on(rows.schema, erasure.where):
                self.reached.add(erasure.id)
                left = rows.filter(~matching(rows, erasure.where))
                self.dropped += rows.height - left.height
                rows = left
        return rows


def keep_reached(sieve: Sieve, folder: Path) -> None:
    """Have the last step know which erasures were carried out as the rows were read."""
    if sieve.reached:
        files.write_json(_place(folder), sorted(sieve.reached))


def at_the_end(parts: Sequence[Part], erasures: Sequence[Meant], folder: Path, number: int) -> list[Part]:
    """The parts with a last step that drops what matches once all others are done; its report has this number."""
    if not erasures:
        return list(parts)
    step = _Last(number=number, name="erase", options={}, erasures=tuple(erasures), folder=folder)
    *before, last = parts
    return [*before, replace(last, applied=(*last.applied, step))]


def discreet(
    reports: Mapping[int, Mapping[str, Any]], erasures: Sequence[Meant], folder: Path
) -> dict[int, dict[str, Any]]:
    """The reports without examples, where those may be of rows that only the last step would have dropped."""
    unreached = {erasure.id for erasure in erasures} - set(_reached(folder))
    hidden: dict[str, Any] = {"examples": {}} if unreached else {}
    return {number: {**report, **hidden} for number, report in reports.items()}


@dataclass(frozen=True, kw_only=True)
class _Last(Planned):
    """Drops what matches when all steps are done."""

    erasures: tuple[Meant, ...]
    folder: Path

    @property
    def looks(self) -> Any:
        return "nowhere"

    @property
    def has_examples(self) -> bool:
        return False

    def apply(self, rows: pl.DataFrame, fitted: Any) -> Done:
        reached = _reached(self.folder)
        drop = pl.repeat(False, rows.height, eager=True)
        for erasure in self.erasures:
            if works_on(rows.schema, erasure.where):
                drop = drop | matching(rows, erasure.where)
            elif erasure.id not in reached:
                raise Rejected(
                    f"erasure {erasure.id} names columns, or does with them, what neither the rows of the source nor "
                    "the prepared rows have any more; without knowing which rows are meant there is no version",
                    field="prepare",
                )
        return Done(rows=rows, drop={ERASED: drop})


def _reached(folder: Path) -> list[str]:
    found: list[str] = files.read_json(_place(folder)) or []
    return found


def _place(folder: Path) -> Path:
    return folder / "erased-as-read.json"
