"""Words of texts as numbers, many texts at once: what finding near duplicates and judging quality have in common.

A word is a run of letters and digits, in lower case; a Chinese character, kana or hangul syllable is a word of its
own. All of it is arithmetic on the bytes of UTF-8, the same on any machine: fast enough for gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

_CHUNK_BYTES = 1 << 18
"""Texts that are worked on together: what is held about them stays in the processor's cache."""
_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)


_LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + bytes(range(0x80, 0x100))
_PART = bytes(byte in _LETTERS for byte in range(256))
"""For each byte, whether it is part of a word."""
_SMALL = bytes(range(256)).lower()
_DIGITS = bytes(byte in b"0123456789" for byte in range(256))
_FIRST_BYTES = bytes(byte & 0xC0 != 0x80 for byte in range(256))
"""Those that begin a character."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words of some texts, one after the other. What each method tells is in that order."""

    lines: bytes
    starts: np.ndarray
    """Where each word begins in `lines`."""
    stops: np.ndarray
    counts: np.ndarray
    """How many words each text has."""

    @property
    def first(self) -> np.ndarray:
        """The place of each text's first word."""
        told: np.ndarray = np.cumsum(self.counts) - self.counts
        return told

    @property
    def text(self) -> np.ndarray:
        """The text each word is of."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def hashes(self) -> np.ndarray:
        """uint64: the same for the same word, and hardly ever for others; its low bits tell little.

        Of the case of ASCII letters it knows nothing, and of words longer than 16 bytes only length, beginning and
        end.
        """
        eights = _eights(self.lines.translate(_SMALL))
        sizes = self.stops - self.starts
        begins = _cut(_at(eights, self.starts), sizes)
        ends = np.where(sizes > 8, _at(eights, np.maximum(self.stops - 8, 0)), np.uint64(0))
        return mixed(begins * _ODD[0] + ends * _ODD[1] + sizes.astype(np.uint64))

    def are(self, listed: Sequence[str]) -> np.ndarray:
        """For each of some words of at most eight bytes whether each word is it: bool (listed, words)."""
        codes = _cut(_at(_eights(self.lines.translate(_SMALL)), self.starts), self.stops - self.starts)
        codes[self.stops - self.starts > 8] = 0
        return np.stack([codes == int.from_bytes(word.encode(), "little") for word in listed])

    def lengths(self) -> np.ndarray:
        """In characters."""
        if self.lines.isascii():
            told: np.ndarray = self.stops - self.starts
            return told
        return self._holding(_FIRST_BYTES)

    def have_letters(self) -> np.ndarray:
        """Whether a word is more than digits."""
        begins = np.frombuffer(self.lines.translate(_DIGITS), np.uint8)[self.starts]
        if not begins.any():
            return np.ones(len(begins), bool)
        told: np.ndarray = self._holding(_DIGITS) < self.stops - self.starts
        return told

    def _holding(self, table: bytes) -> np.ndarray:
        """How many of each word's bytes the table marks."""
        sums = np.cumsum(np.frombuffer(self.lines.translate(table), np.uint8), dtype=np.int64)
        told: np.ndarray = sums[self.stops - 1] - sums[self.starts - 1]
        return told


def words(texts: pl.Series) -> Iterator[Words]:
    """The words of all texts, chunk after chunk; a text that is null has none."""
    texts = texts.fill_null("")
    # A line end before the first text and after each, so that no word is of two.
    lines = "".join(("\n", texts.str.join("\n").item() or "", "\n")).encode()
    ends = np.cumsum(texts.str.len_bytes().to_numpy() + 1, dtype=np.int64)
    first = 0
    while first < len(texts):
        begin = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, begin + _CHUNK_BYTES, side="right")), first + 1)
        yield _words(lines[begin : ends[last - 1] + 1], ends[first:last] - begin)
        first = last


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers whose every bit depends on every bit of what they were (the finish of splitmix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    told: np.ndarray = numbers ^ (numbers >> np.uint64(31))
    return told


def _words(lines: bytes, ends: np.ndarray) -> Words:
    """The words of texts that lie in `lines`, each to its end, with a line end before them all."""
    starts, stops = _bounds(lines)
    counts = np.diff(np.searchsorted(starts, ends), prepend=0)
    return Words(lines=lines, starts=starts, stops=stops, counts=counts)


def _bounds(lines: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Where words begin and end."""
    part = np.frombuffer(lines.translate(_PART), np.uint8)
    if not lines.isascii():
        data = np.frombuffer(lines, np.uint8)
        marks, alone = _others(data)
        part = part & ~marks
    flips = np.flatnonzero(part[1:] != part[:-1]) + 1
    starts, stops = flips[0::2], flips[1::2]
    if lines.isascii():
        return starts, stops
    # Within a run of parts, what stands alone is cut off before and behind it.
    behind = np.zeros(len(part), bool)
    behind[3:] = alone[:-3]
    cuts = np.flatnonzero((alone | behind) & (part == 1) & (np.append(0, part[:-1]) == 1))
    return np.sort(np.append(starts, cuts)), np.sort(np.append(stops, cuts))


def _others(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beyond ASCII: which bytes are of punctuation, and where characters begin that are words by themselves."""
    following = np.append(data[1:], 0)
    # General punctuation, that of Chinese and Japanese, and the full-width forms of ASCII's.
    begins = ((data == 0xE2) & (following == 0x80)) | ((data == 0xE3) & (following == 0x80))
    begins |= (data == 0xEF) & (following == 0xBC)
    marks = np.zeros(len(data) + 2, np.uint8)
    for offset in range(3):
        marks[np.flatnonzero(begins) + offset] = 1
    alone = (data >= 0xE3) & (data <= 0xED) & ~begins
    return marks[:-2], alone


def _eights(data: bytes) -> np.ndarray:
    """The bytes as numbers of eight of them each, and two more numbers behind."""
    return np.frombuffer(data + bytes(24 - len(data) % 8), "<u8")


def _at(eights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The eight bytes from each place on, as a number; the first byte is the lowest."""
    shift = ((places & 7) << 3).astype(np.uint64)
    low, high = eights[places >> 3], eights[(places >> 3) + 1]
    # Shifted twice, since a shift by 64 is none.
    told: np.ndarray = (low >> shift) | ((high << np.uint64(1)) << (np.uint64(63) - shift))
    return told


def _cut(numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Only as many of their lowest bytes."""
    told: np.ndarray = numbers & _MASKS[np.minimum(sizes, 8)]
    return told
