"""What the name of a file tells about its row: the folder is a label, and its parts may be columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats._source import Part

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")

Told = Callable[[Part], dict[str, str]]
"""File → the columns its name tells."""


def told_by_name(names: str | None, schema: pl.Schema) -> tuple[Told, pl.Schema]:
    """How to read columns off a file's name, and `schema` with these columns: `{label}_{speaker}` tells both of
    cat_ann.wav. A column that is there already is replaced. Raises Rejected for a pattern without a column."""
    if names is None:
        return (lambda part: {}), schema
    columns = _PLACE.findall(names)
    if not columns or len(set(columns)) < len(columns):
        raise Rejected(
            f"{names!r} names no columns, or one twice; such as {{label}}_{{speaker}}", field="format.names"
        )
    pieces = _PLACE.split(names)
    # Every second piece is the name of a column.
    pattern = re.compile(
        "".join(
            f"(?P<{piece}>[^/]+?)" if place % 2 else re.escape(piece) for place, piece in enumerate(pieces)
        )
    )

    def told(part: Part) -> dict[str, str]:
        match = pattern.fullmatch(PurePosixPath(part.bare_name).stem)
        if match is None:
            raise Rejected(f"{part.name} is not called {names!r}", field="format.names")
        return match.groupdict()

    return told, pl.Schema({**schema, **{column: pl.String() for column in columns}})
