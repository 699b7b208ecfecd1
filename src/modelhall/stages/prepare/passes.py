"""From the rows as they were read to the rows of the version: one pass after the other, each from shards to shards.

All of it happens in one folder, and shards and looks that are finished are not done again: a preparation that was
killed goes on from there when it is given the same folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.stages.prepare.plan import Part, Planned
from modelhall.stages.prepare.shards import Shards
from modelhall.stages.prepare.steps import Marks, Verdict
from modelhall.stages.prepare.telling import Telling
from modelhall.stages.prepare.work import EXAMPLES, TRAINING, Job, Place, carry
from modelhall.stages.prepare.workers import Workers


class Passes:
    """One preparation in its folder."""

    def __init__(self, folder: Path, parts: Sequence[Part], *, processes: int, told: Telling) -> None:
        self.folder = folder
        self._parts = parts
        self._workers = Workers(processes)
        self._told = told
        self._done_before: int | None = None
        """Rows that earlier attempts were done with, once that is known."""

    @property
    def read(self) -> Shards:
        """Where the rows go that are read."""
        return self._shards(0)

    def run(self) -> Shards:
        """Carry out every part; returns the shards of the version, as parquet. Raises Rejected for steps that do not
        fit the rows, and for a step that leaves a split empty."""
        first = next(place for place in range(len(self._parts), -1, -1) if self._shards(place).is_finished())
        try:
            for place in range(first + 1, len(self._parts) + 1):
                self._pass(place)
                self._shards(place - 1).remove()
        finally:
            self._workers.close()
        return self._shards(len(self._parts))

    def reports(self) -> dict[int, dict[str, Any]]:
        """What each step did, by its number, over all shards."""
        found: dict[int, dict[str, Any]] = {}
        for place in range(1, len(self._parts) + 1):
            told = files.read_json(self.folder / f"report-{place:02d}.json") or {}
            found |= {int(number): report for number, report in told.items()}
        return found

    def fitted(self) -> dict[int, Any]:
        """What was fitted, by the number of the step."""
        found = {}
        for place, part in enumerate(self._parts, start=1):
            if part.begins is not None and part.begins.looks == "at training":
                found[part.begins.number] = files.read_json(self.folder / f"fitted-{place:02d}.json")
        return found

    def empty_folder(self) -> Path:
        """A place to lay the version out in."""
        place = self.folder / "version"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return place

    def remove(self) -> None:
        """Remove the folder: all of it is in the version."""
        shutil.rmtree(self.folder)

    def _shards(self, place: int) -> Shards:
        return Shards(self.folder / f"{place:02d}")

    def _pass(self, place: int) -> None:
        part, source, target = self._parts[place - 1], self._shards(place - 1), self._shards(place)
        jobs, report = self._jobs(place)
        done = set(target.numbers())
        rows = {number: sum(source.notes(number)["rows"].values()) for number in source.numbers()}
        total, behind = sum(rows.values()), sum(rows[number] for number in done)
        before = total * (place - 1)
        if self._done_before is None:
            self._done_before = before + behind
        message = f"{place} of {len(self._parts)}: {part}"
        left = (job for job in jobs if job.number not in done)
        for number, _ in zip(sorted(rows.keys() - done), self._workers.each(carry, left), strict=True):
            behind += rows[number]
            self._told.rows(before + behind, total * len(self._parts), self._done_before, message)
        merged = _merge([target.notes(number) for number in target.numbers()]) | report
        _refuse_empty(part, merged)
        files.write_json(self.folder / f"report-{place:02d}.json", merged)
        target.finish()
        self._told.passed(message, made=len(rows) - len(done), found=len(done))

    def _jobs(self, place: int) -> tuple[Iterator[Job], dict[str, Any]]:
        """A job a shard; and what is to be reported of the step that begins the part, if no job knows it."""
        part, source = self._parts[place - 1], self._shards(place - 1)
        step, numbers = part.begins, source.numbers()
        job = partial(
            Job, part=part, source=self.folder / f"{place - 1:02d}", target=self.folder / f"{place:02d}"
        )
        if step is None or step.looks == "at training":
            fitted = self._fit(place, step) if step else None
            return (job(number=number, fitted=fitted) for number in numbers), {}
        verdict: Verdict = step.call("decide", Marks(_parts_of(source, step, None)))
        heights = [
            (number, split, source.height(number, split))
            for number in numbers
            for split in source.splits(number)
        ]
        if verdict.take is not None:
            taken = enumerate(_taken(heights, verdict.take, len(numbers)))
            report = _report_of_taking(source, heights, verdict.take)
            return (job(number=number, take=take) for number, take in taken), {str(step.number): report}
        shares = _shares(heights, verdict)
        return (job(number=number, **shares.get(number, {})) for number in numbers), {}

    def _fit(self, place: int, step: Planned) -> Any:
        """Fitted once, and read from the folder by every attempt from then on."""
        path = self.folder / f"fitted-{place:02d}.json"
        if not path.exists():
            train = Marks(_parts_of(self._shards(place - 1), step, TRAINING))
            files.write_json(path, step.call("fit", train))
        return files.read_json(path)


def _parts_of(
    source: Shards, step: Planned, splits: Sequence[str] | None
) -> Iterator[tuple[str, pl.LazyFrame]]:
    """The marks a step made, or the rows themselves where it makes none, of all splits or some."""
    sort = "marks" if hasattr(step.module, "mark") else "rows"
    for number in source.numbers():
        for split in source.splits(number):
            if splits is None or split in splits:
                yield split, source.scan(number, sort, split)


def _shares(heights: Sequence[tuple[int, str, int]], verdict: Verdict) -> dict[int, dict[str, Any]]:
    """What was decided of all rows, cut into what each shard needs to know."""
    shares: dict[int, dict[str, Any]] = {}
    start = 0
    for number, split, height in heights:
        share = shares.setdefault(number, {"drop": {}, "split": {}})
        rows = slice(start, start + height)
        share["drop"][split] = {reason: marks[rows] for reason, marks in verdict.drop.items()}
        if verdict.split is not None:
            share["split"][split] = verdict.split[rows]
        start += height
    return shares


def _taken(
    heights: Sequence[tuple[int, str, int]], take: Mapping[str, np.ndarray], shards: int
) -> Iterator[dict[str, tuple[list[Place], np.ndarray]]]:
    """For each new shard, of which there are as many as before, where its rows lie."""
    ends = np.cumsum([height for _, _, height in heights])
    cut = {split: np.array_split(rows, shards) for split, rows in take.items()}
    for shard in range(shards):
        found: dict[str, tuple[list[Place], np.ndarray]] = {}
        for split, pieces in cut.items():
            rows = pieces[shard]
            where = np.searchsorted(ends, rows, side="right")
            order = np.argsort(where, kind="stable")
            places = []
            for part in np.unique(where):
                number, name, height = heights[part]
                places.append(
                    Place(
                        shard=number,
                        split=name,
                        rows=rows[order][where[order] == part] - (ends[part] - height),
                    )
                )
            found[split] = (places, np.argsort(order, kind="stable"))
        yield found


def _report_of_taking(
    source: Shards, heights: Sequence[tuple[int, str, int]], take: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    left = {split: len(rows) for split, rows in take.items()}
    number, split, _ = heights[0]
    return {
        "rows_in": sum(height for _, _, height in heights),
        "rows_out": sum(left.values()),
        "dropped": {},
        "examples": {},
        "left": left,
        "before": {
            name: str(kind).lower()
            for name, kind in source.scan(number, "rows", split).collect_schema().items()
        },
    }


def _merge(notes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the shards tell of the steps of one part, as one; examples are the first there are."""
    merged: dict[str, Any] = {}
    for shard in notes:
        for number, told in shard["steps"].items():
            known = merged.setdefault(
                number, {"rows_in": 0, "rows_out": 0, "dropped": {}, "examples": {}, "left": {}}
            )
            known["before"] = told["before"]
            known["rows_in"] += told["rows_in"]
            known["rows_out"] += told["rows_out"]
            for sort in ("dropped", "left"):
                for name, count in told[sort].items():
                    known[sort][name] = known[sort].get(name, 0) + count
            for reason, shown in told["examples"].items():
                known["examples"][reason] = [*known["examples"].get(reason, []), *shown][:EXAMPLES]
            if "counts" in told:
                known["counts"] = _added(known.get("counts", {}), told["counts"])
    return merged


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings with numbers in their leaves, as one with their sums."""
    added = dict(one)
    for name, more in other.items():
        if isinstance(more, Mapping):
            added[name] = _added(one.get(name, {}), more)
        else:
            added[name] = one.get(name, 0) + more
    return added


def _refuse_empty(part: Part, merged: Mapping[str, Any]) -> None:
    for step in (*((part.begins,) if part.begins else ()), *part.applied):
        for split, count in merged.get(str(step.number), {}).get("left", {}).items():
            if not count:
                with step.blamed():
                    raise Rejected(f"{split} is empty after {step.name}")
