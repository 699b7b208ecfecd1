"""Rows that only one of two versions has, split by split, by digests of what they hold.

Rows stream through it. Of a large split a part of all digests is looked at in each of several goes, so it holds so
many at a time and no more; a split that would take too many goes is not compared, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from modelhall.stages import _data
from modelhall.stages.look.rows import plain

AT_ONCE = 4_000_000
"""Rows of either version whose digests are held at a time, 16 bytes each with where they stand."""
MOST_GOES = 16
SEED = 17


def rows(one: Path, other: Path, *, examples: int) -> dict[str, Any]:
    """Split → how many rows only the first, and only the second, has, with examples; compared by the columns that
    both have. A row that stands twice in one and once in the other counts once."""
    found = {}
    for split in dict.fromkeys([*_data.splits(one), *_data.splits(other)]):
        files = [_data.files(folder, split) for folder in (one, other)]
        schemas = [pl.read_parquet_schema(paths[0]) if paths else None for paths in files]
        there = [schema for schema in schemas if schema is not None]
        columns = [name for name, kind in there[0].items() if there[-1].get(name) == kind]
        found[split] = _compared(files, columns, examples)
    return found


def _compared(files: list[list[Path]], columns: list[str], examples: int) -> dict[str, Any]:
    most = max(sum(_height(path) for path in paths) for paths in files)
    goes = max(1, -(-most // AT_ONCE))
    if not columns:
        return {"compared_by": [], "reason": "they have no column in common"}
    if goes > MOST_GOES:
        return {
            "compared_by": [],
            "reason": f"it has {most:,} rows; {AT_ONCE * MOST_GOES:,} are compared at most",
        }
    counts, places = np.zeros(2, np.int64), [np.zeros(0, np.int64)] * 2
    for go in range(goes):
        for side, (extra, where) in enumerate(_difference(files, columns, go, goes)):
            counts[side] += extra
            places[side] = np.sort(np.concatenate([places[side], where]))[:examples]
    sides = {
        f"only_{name}": {"rows": int(counts[side]), "examples": _at(files[side], places[side])}
        for side, name in enumerate(("before", "after"))
    }
    return {"compared_by": columns, **sides}


def _difference(
    files: list[list[Path]], columns: list[str], go: int, goes: int
) -> Iterator[tuple[int, np.ndarray]]:
    """For either side, how many rows the other has not got, and where the first of them stand."""
    told = [_digests(paths, columns, go, goes) for paths in files]
    unique = [np.unique(digests, return_index=True, return_counts=True) for digests, _ in told]
    for side in (0, 1):
        digests, first, count = unique[side]
        others, _, their_count = unique[1 - side]
        at = np.searchsorted(others, digests)
        known = (at < len(others)) & (
            others[np.minimum(at, len(others) - 1)] == digests if len(others) else False
        )
        theirs = np.where(known, their_count[np.minimum(at, len(others) - 1)], 0) if len(others) else 0
        extra = np.maximum(count - theirs, 0)
        yield int(extra.sum()), told[side][1][first[extra > 0]]


def _digests(paths: list[Path], columns: list[str], go: int, goes: int) -> tuple[np.ndarray, np.ndarray]:
    """The digests of this go, and where their rows stand in the split."""
    digests, places, start = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], 0
    for path in paths:
        found = pl.read_parquet(path, columns=columns).select(columns).hash_rows(SEED).to_numpy()
        mine = np.flatnonzero(found % goes == go)
        digests.append(found[mine])
        places.append(mine + start)
        start += len(found)
    return np.concatenate(digests), np.concatenate(places)


def _at(paths: list[Path], places: np.ndarray) -> list[dict[str, Any]]:
    """The rows that stand at some places, in order."""
    found: list[dict[str, Any]] = []
    start = 0
    for path in paths:
        height = _height(path)
        inside = places[(places >= start) & (places < start + height)] - start
        if len(inside):
            found += plain(pl.read_parquet(path)[inside])
        start += height
    return found


def _height(path: Path) -> int:
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())
