"""Columns of encoded sounds: unpacked, changed one by one, and packed again as WAV of 16 bits."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import check_columns

try:
    import soundfile
    import soxr
except ImportError:  # the extra `audio`
    soundfile = soxr = None

MAX_SAMPLES = 200_000_000
"""More than an hour in stereo. Packed silence may be unpacked to anything."""


class Sound(NamedTuple):
    """What is heard."""

    samples: np.ndarray
    """float32 (moments, channels), from -1 to 1."""
    rate: int
    """Moments a second."""

    @property
    def mono(self) -> np.ndarray:
        """float32 (moments): the mean of the channels."""
        return self.samples.mean(1, dtype=np.float32) if self.samples.shape[1] > 1 else self.samples[:, 0]


def sound_column(rows: pl.DataFrame, column: str) -> None:
    """Raise Rejected unless there is such a column and it may hold sounds, and the libraries to hear them."""
    if soundfile is None:
        raise Rejected("sounds need the libraries soundfile and soxr: pip install 'modelhall[audio]'")
    check_columns(rows, [column], "column")
    if rows.schema[column] not in (pl.Binary, pl.Null):
        raise Rejected(f"column {column!r} holds {rows.schema[column]}, not sounds", field="column")


def sounds(rows: pl.DataFrame, column: str) -> Iterator[Sound | None]:
    """Every sound of `column`, None where one is missing. Raises Rejected for what is none."""
    sound_column(rows, column)
    for place, data in enumerate(rows[column]):
        yield None if data is None else unpacked(data, f"{column} of row {place}")


def each(rows: pl.DataFrame, column: str, change: Callable[[Sound], Sound]) -> pl.DataFrame:
    """Every sound of `column` changed; what is missing stays so. What the reader of sounds told of them in columns of
    their own stays true."""
    made = [None if sound is None else change(sound) for sound in sounds(rows, column)]
    told = {
        "sample_rate": [None if sound is None else sound.rate for sound in made],
        "channels": [None if sound is None else sound.samples.shape[1] for sound in made],
        "duration_s": [None if sound is None else len(sound.samples) / sound.rate for sound in made],
    }
    heard = pl.Series(column, [None if sound is None else packed(sound) for sound in made], dtype=pl.Binary)
    return rows.with_columns(
        heard, *(pl.Series(name, told[name], rows.schema[name]) for name in told if name in rows.columns)
    )


def unpacked(data: bytes, name: str) -> Sound:
    """Raises Rejected, calling it `name`, if it is no sound, damaged, or too large."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.frames * file.channels > MAX_SAMPLES:
                raise Rejected(
                    f"{name} has {file.frames:,} moments; it is too long to be held", field="column"
                )
            samples = file.read(dtype="float32", always_2d=True)
            rate = int(file.samplerate)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise Rejected(f"{name} is no sound, or a damaged one: {error}", field="column") from None
    if not len(samples) or rate < 1:
        raise Rejected(f"{name} is a sound of nothing", field="column")
    return Sound(np.nan_to_num(samples), rate)


def packed(sound: Sound) -> bytes:
    """As WAV of 16 bits; what is louder than that holds is cut off."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound.samples, sound.rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def resampled(sound: Sound, rate: float) -> np.ndarray:
    """The samples at another rate, by soxr in its quality HQ."""
    made = soxr.resample(sound.samples, sound.rate, rate) if rate != sound.rate else sound.samples
    return made if len(made) else sound.samples[:1]
