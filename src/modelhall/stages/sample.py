"""Shows some rows of a prepared data set as JSON:

    python -m modelhall.stages.sample BLOBS DIGEST SPLIT LIMIT CACHE

A program of its own, so that the control plane can show rows without loading what reads them. The keys of the project
are handed to it as to any stage.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

from modelhall.core import plugins, unpacking
from modelhall.core.errors import HallError, NotFound
from modelhall.core.kinds import Problem
from modelhall.core.secrets import read_keys
from modelhall.stages import _data


def sample(blobs: str, artifact: str, split: str, limit: int, cache: Path) -> list[dict[str, Any]]:
    """The first `limit` rows of a split; bytes as base64. Raises NotFound when there is no such split."""
    opened = plugins.load_for_url("blobs", blobs).open_blobs(blobs, read_keys())
    with unpacking.unpacked(opened, artifact, cache) as place:
        there = _data.splits(place)
        if split not in there:
            raise NotFound(f"no split {split!r}; there is: {', '.join(there)}", field="split")
        rows = pl.scan_parquet(_data.files(place, split)).head(limit).collect().to_dicts()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def main(blobs: str, artifact: str, split: str, limit: str, cache: str) -> None:
    try:
        answer: dict[str, Any] = {"rows": sample(blobs, artifact, split, int(limit), Path(cache))}
    except HallError as error:
        answer = {"problem": Problem.of(error).model_dump()}
    sys.stdout.write(json.dumps(answer, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
