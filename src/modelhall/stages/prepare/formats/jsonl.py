"""One JSON object a line; also gzipped."""

from __future__ import annotations

import json

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats import Source, stack


def read(files: list[Source]) -> pl.DataFrame:
    """The objects' fields become columns; a field that is missing is null."""
    return stack([_read(file) for file in files], [file.name for file in files])


def _read(file: Source) -> pl.DataFrame:
    text = file.text
    try:
        return pl.read_ndjson(text, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        for number, line in enumerate(text.splitlines(), start=1):
            if problem := _problem(line):
                raise Rejected(f"{file.name} line {number}: {problem}", field="source") from None
        raise Rejected(f"{file.name} cannot be read: {error}", field="source") from None


def _problem(line: bytes) -> str | None:
    """Why a line is not a JSON object."""
    try:
        return None if not line.strip() or isinstance(json.loads(line), dict) else "not a JSON object"
    except ValueError as error:
        return str(error)
