"""Pictures and sounds in columns of bytes: which columns hold them, and what their first bytes say they are. Whether
all of one can be unpacked is looked at when it is read (`_damage`)."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import Any, Literal

import polars as pl
from PIL import Image

try:
    import soundfile
except ImportError:  # the extra `audio`
    soundfile = None

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_SOUNDS = (b"fLaC",)
_RIFF = b"RIFF"
"""Begins both: WAVE is a sound, WEBP a picture."""


def sort_of(column: pl.Series) -> Literal["picture", "sound"] | None:
    """What most values begin as, if that is pictures or sounds."""
    values = column.drop_nulls()
    picture, sound = _share(values, _PICTURES, b"WEBP"), _share(values, _SOUNDS, b"WAVE")
    if max(picture, sound) <= 0.5:
        return None
    return "picture" if picture >= sound else "sound"


def counted(column: pl.Series) -> dict[str, Any]:
    """How many pictures of which size and mode there are, or sounds of which rate and channels and for how long;
    nothing of other bytes, and of sounds without the extra `audio`."""
    sort = sort_of(column)
    values = column.drop_nulls().to_list()
    if sort == "picture":
        return {"pictures": dict(Counter(map(_picture, values)))}
    if sort == "sound" and soundfile is not None:
        told = [_sound(value) for value in values]
        return {
            "sounds": dict(Counter(what for what, _ in told)),
            "sound_s": math.fsum(seconds for _, seconds in told),
        }
    return {}


def _share(values: pl.Series, magic: tuple[bytes, ...], in_riff: bytes) -> float:
    """The share of values that begin with one of `magic`, or as a RIFF file of that sort."""
    column = pl.col("value")
    riff = column.bin.starts_with(_RIFF) & (column.bin.slice(8, 4) == in_riff)
    begins = pl.any_horizontal(*(column.bin.starts_with(start) for start in magic), riff)
    return float(values.alias("value").to_frame().select(begins.mean()).item() or 0.0)


def _picture(data: bytes) -> str:
    """Width, height and mode, such as `28x28 L`, by its head; nothing is unpacked."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return f"{picture.width}x{picture.height} {picture.mode}"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "unreadable"


def _sound(data: bytes) -> tuple[str, float]:
    """Rate and channels, such as `8000 Hz, 1 channel`, and how many seconds."""
    try:
        told = soundfile.info(io.BytesIO(data))
    except (soundfile.SoundFileError, ValueError):
        return "unreadable", 0.0
    channels = f"{told.channels} channel{'s' if told.channels > 1 else ''}"
    return f"{told.samplerate} Hz, {channels}", told.frames / told.samplerate
