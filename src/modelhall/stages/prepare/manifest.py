"""The folder of a version: its shards, what was fitted, and `dataset.json`, which tells all about it.

Nothing in it names a place, a time or a machine: the same content makes the same folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from modelhall.core import files
from modelhall.core.kinds.dataset import SPLITS, Column, SourceFile, Step, StepReport
from modelhall.stages import _data
from modelhall.stages.prepare import statistics
from modelhall.stages.prepare.shards import Shards

NAME = "dataset.json"


def write(
    folder: Path,
    *,
    version: str,
    shards: Shards,
    sources: Sequence[SourceFile],
    steps: Sequence[Step],
    reports: Mapping[int, Mapping[str, Any]],
    fitted: Mapping[int, Any],
    beside: Mapping[int, Mapping[str, str]],
    read: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Lay a finished preparation out in `folder`; returns what dataset.json says. `beside` is what requests need of
    the rows a step reads beside those of the data set."""
    splits = _move(shards, folder)
    told = statistics_of(folder, shards, list(splits))
    written = [
        _step(folder, number, step, reports.get(number), fitted.get(number), beside.get(number))
        for number, step in enumerate(steps)
    ]
    schema = pl.read_parquet_schema(_data.files(folder, next(iter(splits)))[0])
    record = {
        "version": version,
        "splits": splits,
        "columns": [{"name": name, "type": str(kind).lower()} for name, kind in schema.items()],
        "sources": [{"digest": source.digest, "size_bytes": source.size_bytes} for source in sources],
        "read": read,
        "steps": written,
        "statistics": told,
    }
    if (erased := reports.get(len(steps))) is not None:
        record["erased"] = {key: value for key, value in erased.items() if key != "left"}
    files.write_json(folder / NAME, record)
    return record


def columns(record: Mapping[str, Any]) -> tuple[Column, ...]:
    return tuple(Column.model_validate(column) for column in record["columns"])


def reports(record: Mapping[str, Any]) -> tuple[StepReport, ...]:
    """What reading, if it left something out, each step, and erasing, if there was any, did."""
    read = [{"name": "read", **record["read"]}] if record["read"] else []
    erased = [{"name": "erase", **record["erased"]}] if "erased" in record else []
    fields = StepReport.model_fields
    return tuple(
        StepReport.model_validate({key: value for key, value in step.items() if key in fields})
        for step in (*read, *record["steps"], *erased)
    )


def statistics_of(folder: Path, shards: Shards, splits: Sequence[str]) -> dict[str, Any]:
    """Of each column of each split."""
    notes = [shards.notes(number)["columns"] for number in shards.numbers()]
    found = {}
    for split in splits:
        added = statistics.add(note[name] for note in notes for name in _names(split) if name in note)
        numbers = {name: _numbers(folder, split, name) for name, told in added.items() if "least" in told}
        found[split] = statistics.finish(added, numbers)
    return found


def _names(split: str) -> tuple[str, ...]:
    """What a split of the version was called before: rows that no step split are all for training."""
    return (split, "all") if split == "train" else (split,)


def _numbers(folder: Path, split: str, column: str) -> list[pl.Series]:
    return [pl.read_parquet(path, columns=[column])[column] for path in _data.files(folder, split)]


def _move(shards: Shards, folder: Path) -> dict[str, Any]:
    """Bring the shards of each split into the folder; how many rows and bytes there are."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for number in shards.numbers():
        for name, rows in shards.notes(number)["rows"].items():
            split = next(split for split in SPLITS if name in _names(split))
            found.setdefault(split, []).append((rows, shards.path(number) / f"{name}.parquet"))
    splits = {}
    for split in [split for split in SPLITS if split in found]:
        for number, (_, path) in enumerate(found[split]):
            os.link(path, folder / _data.name(split, number, len(found[split])))
        splits[split] = {
            "rows": sum(rows for rows, _ in found[split]),
            "shards": len(found[split]),
            "size_bytes": sum(path.stat().st_size for _, path in found[split]),
        }
    return splits


def _step(
    folder: Path, number: int, step: Step, report: Mapping[str, Any] | None, fitted: Any, beside: Any
) -> dict[str, Any]:
    """What dataset.json tells of one step; what was fitted and what requests need have files of their own."""
    told: dict[str, Any] = {
        "name": step.name,
        "options": step.options,
        "fitted": None,
        "rows_in": 0,
        "rows_out": 0,
    }
    told |= {key: value for key, value in (report or {}).items() if key != "left"}
    if fitted is not None:
        told["fitted"] = f"fitted-{number:02d}-{step.name}.json"
        files.write_json(folder / told["fitted"], fitted)
    if beside is not None:
        told["beside"] = f"beside-{number:02d}-{step.name}.json"
        files.write_json(folder / told["beside"], beside)
    return told
