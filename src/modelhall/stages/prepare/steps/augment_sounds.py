"""Let a model hear every sound a little otherwise each time it learns from it. Prepared rows, validation, test and
requests stay as they are.

- augment-sounds: {column: audio, noise: 0.01, shift_s: 0.1, speed: 0.1, volume_db: 6}
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._sounds import Sound, packed, resampled, sound_column, sounds

REQUESTS = False


def apply(rows: pl.DataFrame, *, column: str = "audio", speed: float = 0.0, noise: float = 0.0) -> Done:
    """The rows as they are, if the column may hold sounds and the options can be met."""
    sound_column(rows, column)
    if not 0 <= speed < 1:
        raise Rejected(f"a share is from 0 to less than 1, not {speed:g}", field="speed")
    if noise < 0:
        raise Rejected(f"noise is 0 or more, not {noise:g}", field="noise")
    return Done(rows=rows)


def vary(
    rows: pl.DataFrame,
    randoms: Sequence[np.random.Generator],
    *,
    column: str = "audio",
    noise: float = 0.0,
    shift_s: float = 0.0,
    speed: float = 0.0,
    volume_db: float = 0.0,
) -> pl.DataFrame:
    """Each sound changed at random, evenly up to the bounds given: faster and higher or slower and lower by the share
    `speed`, earlier or later by `shift_s` (silence comes in, the length stays), louder or softer by `volume_db`, with
    normal `noise` of up to this deviation (1 is full scale)."""

    def changed(sound: Sound, random: np.random.Generator) -> bytes:
        # Every number is drawn whatever the options are, so that one of them does not change what another does.
        of_speed, of_shift, of_volume = random.uniform(-1, 1, 3)
        deviation = random.random() * noise
        if speed:
            sound = Sound(resampled(sound, sound.rate / (1 + of_speed * speed)), sound.rate)
        samples = _shifted(sound.samples, round(of_shift * shift_s * sound.rate))
        samples = samples * np.float32(10 ** (of_volume * volume_db / 20))
        if deviation:
            samples = samples + random.normal(0, deviation, samples.shape).astype(np.float32)
        return packed(Sound(samples, sound.rate))

    made = [
        None if sound is None else changed(sound, random)
        for sound, random in zip(sounds(rows, column), randoms, strict=True)
    ]
    return rows.with_columns(pl.Series(column, made, dtype=pl.Binary))


def _shifted(samples: np.ndarray, by: int) -> np.ndarray:
    moved = np.zeros_like(samples)
    kept = max(0, len(samples) - abs(by))
    if by >= 0:
        moved[len(samples) - kept :] = samples[:kept]
    else:
        moved[:kept] = samples[len(samples) - kept :]
    return moved
