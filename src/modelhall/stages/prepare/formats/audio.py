"""A folder of sounds, wav or flac; where it has class folders, their names are the labels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats._naming import told_by_name
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table

try:
    import soundfile
except ImportError:  # the extra `audio`
    soundfile = None

_SCHEMA = pl.Schema(
    {
        "audio": pl.Binary(),
        "label": pl.String(),
        "path": pl.String(),
        "sample_rate": pl.Int64(),
        "channels": pl.Int64(),
        "duration_s": pl.Float64(),
    }
)


def read(files: Sequence[Part], *, names: str | None = None) -> Table:
    """Columns `audio` (the encoded bytes), `label` (the folder's name), `path`, `sample_rate` in Hz, `channels` and
    `duration_s`, and those that `names` reads off the file's name. What a damaged sound does not tell is missing."""
    if soundfile is None:
        raise Rejected(
            "sounds need the library soundfile: pip install 'modelhall[audio]'", field="format.type"
        )
    told, schema = told_by_name(names, _SCHEMA)

    def row(part: Part) -> Iterator[pl.DataFrame]:
        data = part.content()
        values = {
            "audio": data,
            "label": part.folder,
            "path": part.path_in_folder,
            **_facts(data),
            **told(part),
        }
        yield pl.DataFrame([values], schema=schema)

    return Table(schema=schema, frames=row)


def _facts(data: bytes) -> dict[str, float]:
    """What the header of a sound says; nothing if it is damaged."""
    try:
        found = soundfile.info(io.BytesIO(data))
    except soundfile.SoundFileError:
        return {}
    if not found.samplerate:
        return {}
    return {
        "sample_rate": found.samplerate,
        "channels": found.channels,
        "duration_s": found.frames / found.samplerate,
    }
