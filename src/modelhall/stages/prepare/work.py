"""What is done to one shard in one part: a function of the job alone, so any process may do it, once or again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from modelhall.stages.prepare import statistics
from modelhall.stages.prepare.plan import Part, Planned
from modelhall.stages.prepare.shards import Shards, numbered

TRAINING = ("all", "train")
"""The rows that are for training; without a step that splits them, all."""
EXAMPLES = 3
_EXAMPLE_LENGTH = 120


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where some of a new shard's rows lie: these rows of this split of that shard."""

    shard: int
    split: str
    rows: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Job:
    """One shard of one part."""

    number: int
    source: Path
    target: Path
    part: Part
    fitted: Any = None
    drop: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """Split → reason → a Boolean for each row: decided by the step that begins the part."""
    split: Mapping[str, pl.Series] = field(default_factory=dict)
    """Split → the split each of its rows is to go to."""
    take: Mapping[str, tuple[list[Place], np.ndarray]] | None = None
    """Split → where its rows come from, and in which order; None where the shard's own rows are meant."""


def carry(job: Job) -> dict[str, Any]:
    """Make one shard of the target; returns the notes about it."""
    source, target = Shards(job.source), Shards(job.target)
    rows = _decided(job, source)
    notes: dict[str, Any] = {"steps": {}}
    if job.part.begins is not None and (job.drop or job.split):
        rows = _judged(job, rows, notes)
    for step in job.part.applied:
        fitted = job.fitted if step is job.part.applied[0] else None
        rows = {split: _applied(step, split, frame, fitted, notes) for split, frame in rows.items()}
    rows = {split: frame for split, frame in rows.items() if frame.height}
    notes["rows"] = {split: frame.height for split, frame in rows.items()}
    if job.part.marks is None:
        notes["columns"] = _write_parquet(target, job.number, rows)
        target.keep(job.number, notes)
        return notes
    marked = job.part.marks
    seen = rows if marked.looks == "at all" else {name: rows[name] for name in TRAINING if name in rows}
    has_mark = hasattr(marked.module, "mark")
    marks = {split: marked.call("mark", frame) for split, frame in seen.items()} if has_mark else {}
    target.write(job.number, rows, marks, notes)
    return notes


def _decided(job: Job, source: Shards) -> dict[str, pl.DataFrame]:
    """The rows the shard is made of, from its own place or from where they were sent."""
    if job.take is None:
        return {split: source.rows(job.number, split) for split in source.splits(job.number)}
    return {
        split: pl.concat([source.rows(place.shard, place.split)[place.rows] for place in places])[order]
        for split, (places, order) in job.take.items()
        if places
    }


def _judged(job: Job, rows: dict[str, pl.DataFrame], notes: dict[str, Any]) -> dict[str, pl.DataFrame]:
    """Drop and send to splits, as was decided."""
    assert job.part.begins is not None
    judged: dict[str, pl.DataFrame] = {}
    for split, frame in rows.items():
        drop = {reason: pl.Series(marks) for reason, marks in job.drop.get(split, {}).items()}
        kept = _keep(frame, drop)
        left = frame.filter(kept)
        sent = job.split[split].filter(kept) if split in job.split else None
        parts = {split: left} if sent is None else {
            str(name): left.filter(sent == name) for name in sent.unique(maintain_order=True)
        }  # fmt: skip
        _note(job.part.begins, frame, drop, parts, notes)
        judged |= parts
    return judged


def _applied(
    step: Planned, split: str, rows: pl.DataFrame, fitted: Any, notes: dict[str, Any]
) -> pl.DataFrame:
    done = step.apply(rows, fitted)
    left = done.rows.filter(_keep(done.rows, done.drop)) if done.drop else done.rows
    note = _note(step, rows, done.drop, {split: left}, notes)
    if done.counts:
        note.setdefault("counts", {})[split] = done.counts
    return left


def _keep(rows: pl.DataFrame, drop: Mapping[str, pl.Series]) -> pl.Series:
    """A Boolean for each row: no reason to drop it."""
    kept = pl.repeat(True, rows.height, eager=True)
    for marks in drop.values():
        kept = kept & ~marks.fill_null(False)
    return kept


def _note(
    step: Planned,
    rows: pl.DataFrame,
    drop: Mapping[str, pl.Series],
    left: Mapping[str, pl.DataFrame],
    notes: dict[str, Any],
) -> dict[str, Any]:
    """Write down what a step did to the rows of one split; returns all that is noted of the step."""
    note: dict[str, Any] = notes["steps"].setdefault(
        str(step.number), {"rows_in": 0, "rows_out": 0, "dropped": {}, "examples": {}, "left": {}}
    )
    note["before"] = statistics.columns(rows)
    note["rows_in"] += rows.height
    for split, frame in left.items():
        note["rows_out"] += frame.height
        note["left"][split] = note["left"].get(split, 0) + frame.height
    counted = pl.repeat(False, rows.height, eager=True)
    for reason, marks in drop.items():
        first = marks.fill_null(False) & ~counted
        counted = counted | first
        if count := int(first.sum()):
            note["dropped"][reason] = note["dropped"].get(reason, 0) + count
            if not step.has_examples:
                continue
            shown = note["examples"].setdefault(reason, [])
            some = rows.filter(first).head(EXAMPLES - len(shown))
            shown += [show(row) for row in some.to_dicts()]
    return note


def show(row: dict[str, Any]) -> str:
    """A row in one short line; bytes by their number."""
    shown = {
        name: f"{len(value)} bytes" if isinstance(value, bytes) else value for name, value in row.items()
    }
    return ", ".join(f"{name}: {value}" for name, value in shown.items())[:_EXAMPLE_LENGTH]


def _write_parquet(target: Shards, number: int, rows: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """The shard as it will be part of the version; what is known of its columns by split."""
    folder = target.unfinished(number)
    for split, frame in rows.items():
        with numbered():
            frame.write_parquet(
                folder / f"{split}.parquet", compression="zstd", compression_level=1, statistics=True
            )
    return {split: statistics.of_shard(frame) for split, frame in rows.items()}
