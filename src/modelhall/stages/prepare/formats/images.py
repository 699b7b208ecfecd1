"""A folder of class folders: cat/1.png, cat/2.png, dog/1.jpg…"""

from __future__ import annotations

import polars as pl

from modelhall.stages.prepare.formats import Source


def read(files: list[Source]) -> pl.DataFrame:
    """Columns `image` (the encoded bytes), `label` (the folder's name) and `path` (folder and file name)."""
    return pl.DataFrame(
        {
            "image": [file.stored for file in files],
            "label": [file.path.parent.name for file in files],
            "path": [f"{file.path.parent.name}/{file.path.name}" for file in files],
        },
        schema={"image": pl.Binary, "label": pl.String, "path": pl.String},
    )
