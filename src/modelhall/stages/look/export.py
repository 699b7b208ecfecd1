"""A version as files for elsewhere: a tar, shard after shard, with `dataset.json` last, by which its reader knows
that all of it has come."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

from modelhall.core.looking import Question
from modelhall.stages import _data
from modelhall.stages.look import unpacked

LAST = "dataset.json"


def write(question: Question, to: BinaryIO) -> None:
    """Write the tar of one artifact, of all splits or one. Memory: one shard."""
    with (
        unpacked(question, question.artifacts[0]) as folder,
        tarfile.open(fileobj=to, mode="w|") as tar,
    ):
        for path in _shards(folder, question):
            _add(tar, path)
        _add(tar, folder / LAST)
    to.flush()


def _shards(folder: Path, question: Question) -> Iterator[Path]:
    for split in _data.splits(folder):
        for path in _data.files(folder, split) if question.split in (None, split) else ():
            yield path if question.form == "parquet" else _as_lines(path)


def _as_lines(path: Path) -> Path:
    """The same shard as a JSON object a line, bytes as base64; there until the next one is."""
    rows = pl.read_parquet(path)
    binary = [name for name, kind in rows.schema.items() if kind == pl.Binary]
    lines = path.parents[1] / f"{path.stem}.jsonl"
    for before in path.parents[1].glob("*.jsonl"):
        before.unlink()
    rows.with_columns(pl.col(binary).bin.encode("base64")).write_ndjson(lines)
    return lines


def _add(tar: tarfile.TarFile, path: Path) -> None:
    told = tarfile.TarInfo(path.name)
    told.size = path.stat().st_size
    with path.open("rb") as file:
        tar.addfile(told, file)
