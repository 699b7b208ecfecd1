"""Bring sounds to one sample rate, and to one channel.

- resample: {column: audio, rate: 4000, mono: true}
"""

from __future__ import annotations

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._sounds import Sound, each, resampled


def apply(rows: pl.DataFrame, *, column: str = "audio", rate: int, mono: bool = False) -> Done:
    """Every sound with `rate` samples a second, and with `mono` the mean of its channels, as WAV of 16 bits."""
    if not 100 <= rate <= 768_000:
        raise Rejected(f"a rate is from 100 to 768,000 samples a second, not {rate}", field="rate")

    def change(sound: Sound) -> Sound:
        heard = Sound(sound.mono[:, None], sound.rate) if mono else sound
        return Sound(resampled(heard, rate), rate)

    return Done(rows=each(rows, column, change))
