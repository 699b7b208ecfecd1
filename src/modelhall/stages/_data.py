"""A data version as it lies in its folder: `train-00000-of-00002.parquet`… for each split, and `dataset.json`.

The names are those that Hugging Face's libraries know, so the folder can be read by them as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from modelhall.core.files import read_json
from modelhall.core.kinds.dataset import SPLITS


def splits(folder: Path) -> list[str]:
    """The splits that have rows."""
    return [split for split in SPLITS if files(folder, split)]


def read(folder: Path, split: str) -> pl.DataFrame:
    """All rows of a split, in memory."""
    return pl.concat([pl.read_parquet(path) for path in files(folder, split)], rechunk=True)


def files(folder: Path, split: str) -> list[Path]:
    """The shards of a split, in order; none when there is no such split."""
    return sorted(folder.glob(f"{split}-*-of-*.parquet"))


def name(split: str, number: int, shards: int) -> str:
    """What the file of a shard is called."""
    return f"{split}-{number:05d}-of-{shards:05d}.parquet"


def steps(folder: Path) -> list[dict[str, Any]]:
    """The steps the version was prepared by, in order, each with what was fitted; none where nothing tells."""
    told = read_json(folder / "dataset.json") or {"steps": []}
    return [
        {
            **step,
            "fitted": read_json(folder / step["fitted"]) if step["fitted"] else None,
            "options": step["options"] | (read_json(folder / step["beside"]) if step.get("beside") else {}),
        }
        for step in told["steps"]
    ]
