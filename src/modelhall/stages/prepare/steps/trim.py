"""Cut off the silence before and behind what is heard.

- trim: {column: audio, below_db: 40}
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._sounds import Sound, each, sounds

_FRAME_S, _HOP_S = 0.025, 0.01
_SILENCE = 1e-4
"""Root mean square, -80 dB of full scale: a sound with no louder frame has nothing in it."""


def apply(
    rows: pl.DataFrame, *, column: str = "audio", below_db: float = 40.0, margin_s: float = 0.05
) -> Done:
    """Keep each sound from its first to its last frame of 25 ms (one every 10 ms) whose energy is less than
    `below_db` decibels below that of its loudest frame, and `margin_s` on either side. By energy alone, so noise that
    is as loud as speech is taken for it. Silence as a whole is dropped."""
    if below_db <= 0 or margin_s < 0:
        raise Rejected("a bound is above 0 dB below the loudest, and a margin not negative", field="below_db")
    silent = [sound is not None and not _loudness(sound).max() > _SILENCE for sound in sounds(rows, column)]
    trimmed = each(rows, column, lambda sound: _trimmed(sound, below_db, margin_s))
    return Done(rows=trimmed, drop={"silent": pl.Series(silent, dtype=pl.Boolean)})


def _trimmed(sound: Sound, below_db: float, margin_s: float) -> Sound:
    loudness = _loudness(sound)
    heard = np.flatnonzero(loudness > max(_SILENCE, loudness.max() * 10 ** (-below_db / 20)))
    if not len(heard):
        return sound
    hop, frame, margin = (round(length * sound.rate) for length in (_HOP_S, _FRAME_S, margin_s))
    start = max(0, heard[0] * max(1, hop) - margin)
    stop = min(len(sound.samples), heard[-1] * max(1, hop) + max(1, frame) + margin)
    return Sound(sound.samples[start:stop], sound.rate)


def _loudness(sound: Sound) -> np.ndarray:
    """The root mean square of each frame; the last one may be shorter."""
    hop, frame = (max(1, round(length * sound.rate)) for length in (_HOP_S, _FRAME_S))
    energy = np.concatenate([[0.0], np.cumsum(np.square(sound.mono, dtype=np.float64))])
    starts = np.arange(0, max(1, len(energy) - 1 - frame + hop), hop)
    stops = np.minimum(starts + frame, len(energy) - 1)
    power = np.maximum(0.0, energy[stops] - energy[starts]) / np.maximum(1, stops - starts)
    loudness: np.ndarray = np.sqrt(power)
    return loudness
