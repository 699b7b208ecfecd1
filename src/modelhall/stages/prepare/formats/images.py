"""A folder of class folders: cat/1.png, cat/2.png, dog/1.jpg… An archive of them does as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from modelhall.stages.prepare.formats._naming import told_by_name
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table

_SCHEMA = pl.Schema({"image": pl.Binary(), "label": pl.String(), "path": pl.String()})


def read(files: Sequence[Part], *, names: str | None = None) -> Table:
    """Columns `image` (the encoded bytes), `label` (the folder's name), `path` (folder and file name), and those that
    `names` reads off the file's name."""
    told, schema = told_by_name(names, _SCHEMA)

    def row(part: Part) -> Iterator[pl.DataFrame]:
        values = {"image": part.content(), "label": part.folder, "path": part.path_in_folder, **told(part)}
        yield pl.DataFrame([values], schema=schema)

    return Table(schema=schema, frames=row)
