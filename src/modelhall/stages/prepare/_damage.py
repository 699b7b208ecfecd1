"""Damaged pictures: found by unpacking each one, named, and left out as far as the data set allows."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import polars as pl
from PIL import Image

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, Splits

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*")
_EXAMPLES = 5


def drop_damaged(splits: Splits, *, max_damaged: float, threads: int) -> Done:
    """Drop rows with a picture that cannot be unpacked; raises Rejected if their share is over `max_damaged`."""
    kept, dropped = {}, []
    names: list[str] = []
    for split, frame in splits.items():
        columns = [
            name for name, kind in frame.schema.items() if kind == pl.Binary and _shows_pictures(frame[name])
        ]
        sound = [True] * frame.height
        for column in columns:
            with ThreadPoolExecutor(threads) as pool:
                sound = [a and b for a, b in zip(sound, pool.map(_is_sound, frame[column]), strict=True)]
        damaged = frame.filter([not value for value in sound])
        rows = [row for row, value in enumerate(sound) if not value]
        names += (
            damaged["path"].to_list()
            if "path" in frame.columns
            else [f"row {row} of {split}" for row in rows]
        )
        kept[split] = frame.filter(sound)
        dropped.append(damaged)
    total = sum(frame.height for frame in splits.values())
    if total and len(names) / total > max_damaged:
        raise Rejected(
            f"{len(names)} of {total} pictures are damaged, more than the share of {max_damaged:g} that "
            f"`max_damaged` allows: {', '.join(map(str, names[:_EXAMPLES]))}",
            field="max_damaged",
        )
    return Done(splits=kept, dropped={"damaged": pl.concat(dropped)} if names else {})


def _shows_pictures(column: pl.Series) -> bool:
    """Whether most values of a column of bytes begin as pictures do."""
    starts = pl.any_horizontal(pl.col(column.name).bin.starts_with(magic) for magic in _MAGIC)
    share = column.to_frame().select(starts.mean()).item()
    return share is not None and share > 0.5


def _is_sound(data: bytes | None) -> bool:
    try:
        Image.open(io.BytesIO(data or b"")).load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True
