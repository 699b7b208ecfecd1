"""Short-time spectra of sounds: log-mel bands and cepstral coefficients, as librosa computes them by default."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_FLOOR = 1e-10
_RANGE_DB = 80.0
_LINEAR_HZ, _LINEAR_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27


def log_mel(
    samples: np.ndarray, rate: int, *, window: int, hop: int, bands: int, low_hz: float, high_hz: float
) -> np.ndarray:
    """float32 (frames, bands) in decibels, none more than 80 below the loudest.

    Frames of `window` samples, one every `hop`, their middles from the first sample on (the sound mirrored beyond its
    ends), under a periodic Hann window; the power of the Fourier transform of the next power of two, gathered into
    triangles of equal area, evenly spaced on the mel scale of Slaney 1998.
    """
    size = 1 << (window - 1).bit_length()
    mirrored = np.pad(samples, size // 2, "reflect" if len(samples) > 1 else "edge")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, size)[::hop]
    hann = np.zeros(size)
    hann[(size - window) // 2 :][:window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    decibels = 10 * np.log10(np.maximum(_FLOOR, power @ _triangles(size, rate, bands, low_hz, high_hz)))
    clipped: np.ndarray = np.maximum(decibels, decibels.max() - _RANGE_DB).astype(np.float32)
    return clipped


def cepstrum(decibels: np.ndarray, coefficients: int) -> np.ndarray:
    """float32 (frames, coefficients): the discrete cosine transform (II, orthonormal) over the bands (Davis &
    Mermelstein 1980)."""
    bands = decibels.shape[1]
    waves = np.cos(np.pi / bands * np.outer(np.arange(bands) + 0.5, np.arange(coefficients)))
    waves *= np.sqrt(2 / bands)
    waves[:, 0] /= np.sqrt(2)
    transformed: np.ndarray = (decibels.astype(np.float64) @ waves).astype(np.float32)
    return transformed


@lru_cache(maxsize=8)
def _triangles(size: int, rate: int, bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """(frequencies, bands): how much of each frequency is in each band."""
    corners = _hertz(np.linspace(_mel(low_hz), _mel(high_hz), bands + 2))
    frequencies = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    gathered: np.ndarray = np.maximum(0, np.minimum(rising, falling)) * (2 / (corners[2:] - corners[:-2]))
    return gathered


def _mel(hertz: float) -> float:
    """Linear up to 1,000 Hz, logarithmic beyond."""
    if hertz < _LINEAR_HZ:
        return hertz * _LINEAR_MEL / _LINEAR_HZ
    return _LINEAR_MEL + float(np.log(hertz / _LINEAR_HZ) / _LOG_STEP)


def _hertz(mel: np.ndarray) -> np.ndarray:
    beyond = _LINEAR_HZ * np.exp(_LOG_STEP * np.maximum(0, mel - _LINEAR_MEL))
    hertz: np.ndarray = np.where(mel < _LINEAR_MEL, mel * _LINEAR_HZ / _LINEAR_MEL, beyond)
    return hertz
