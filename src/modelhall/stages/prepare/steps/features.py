"""What sounds are made of over time: log-mel spectra or cepstral coefficients (MFCC), as numbers or as a picture.

- features: {column: audio, rate: 8000, bands: 20}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from PIL import Image

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._pictures import packed
from modelhall.stages.prepare.steps._sounds import Sound, sounds
from modelhall.stages.prepare.steps._spectra import cepstrum, log_mel

_RANGE_DB = 80


def apply(
    rows: pl.DataFrame,
    *,
    column: str = "audio",
    into: str = "features",
    rate: int,
    kind: Literal["log-mel", "mfcc"] = "log-mel",
    form: Literal["numbers", "picture"] = "numbers",
    bands: int = 40,
    coefficients: int = 13,
    window_s: float = 0.025,
    hop_s: float = 0.01,
    low_hz: float = 0.0,
    high_hz: float | None = None,
    length_s: float | None = None,
    keep: bool = False,
) -> Done:
    """Add `into`: for each sound its frames, and for each frame `bands` decibels or `coefficients`, float32; the
    sound goes unless `keep`. Channels become one. All sounds must have `rate`, which `resample` gives them.

    A frame is `window_s` long and begins every `hop_s`; bands lie from `low_hz` to `high_hz`, by default half the
    rate. With `length_s`, sounds are cut off there, or filled up with silence. As a picture, a log-mel spectrum is
    grey, time from left to right, low bands below, white the loudest and black 80 dB below it.
    """
    window, hop = (round(length * rate) for length in (window_s, hop_s))
    high = rate / 2 if high_hz is None else high_hz
    _check(window, hop, bands, coefficients if kind == "mfcc" else bands, low_hz, high, rate / 2)
    if form == "picture" and kind != "log-mel":
        raise Rejected("coefficients make no picture; log-mel does", field="form")

    def of(sound: Sound) -> np.ndarray:
        samples = _cut(_at_rate(sound, rate), None if length_s is None else max(1, round(length_s * rate)))
        spectrum = log_mel(samples, rate, window=window, hop=hop, bands=bands, low_hz=low_hz, high_hz=high)
        return cepstrum(spectrum, coefficients) if kind == "mfcc" else spectrum

    made = [None if sound is None else of(sound) for sound in sounds(rows, column)]
    width = coefficients if kind == "mfcc" else bands
    told = _pictures(into, made) if form == "picture" else _numbers(into, made, width)
    left = rows if keep or into == column else rows.drop(column)
    return Done(rows=left.with_columns(told))


def origin(name: str, *, column: str = "audio", into: str = "features") -> str:
    """What a column was called before: whoever asks a model that reads features gives the sound."""
    return column if name == into else name


def _check(window: int, hop: int, bands: int, wanted: int, low: float, high: float, most: float) -> None:
    if window < 2 or hop < 1:
        raise Rejected(
            f"a frame of {window} samples every {hop}; at least 2 and 1 are needed", field="window_s"
        )
    if not 1 <= wanted <= bands:
        raise Rejected(f"{bands} bands do not make {wanted} coefficients", field="coefficients")
    if not 0 <= low < high <= most:
        raise Rejected(f"bands lie from 0 to {most:g} Hz, not from {low:g} to {high:g}", field="high_hz")


def _at_rate(sound: Sound, rate: int) -> np.ndarray:
    if sound.rate != rate:
        raise Rejected(
            f"a sound has {sound.rate} samples a second, not {rate}; `resample: {{rate: {rate}}}` before this step "
            "gives all of them the same",
            field="rate",
        )
    return sound.mono


def _cut(samples: np.ndarray, length: int | None) -> np.ndarray:
    if length is None:
        return samples
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _numbers(name: str, made: Sequence[np.ndarray | None], width: int) -> pl.Series:
    kind = pl.List(pl.Array(pl.Float32, width))
    return pl.Series(name, [None if frames is None else pl.Series(frames) for frames in made], dtype=kind)


def _pictures(name: str, made: Sequence[np.ndarray | None]) -> pl.Series:
    drawn = [None if frames is None else packed(_picture(frames), "PNG") for frames in made]
    return pl.Series(name, drawn, dtype=pl.Binary)


def _picture(decibels: np.ndarray) -> Image.Image:
    share = (decibels - decibels.max() + _RANGE_DB) / _RANGE_DB
    return Image.fromarray(np.rint(share * 255).astype(np.uint8).T[::-1])
