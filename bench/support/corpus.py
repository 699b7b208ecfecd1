"""A corpus of made-up English with known duplicates: what is planted is told, so that finding it can be judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

COMMON = [
    "the",
    "be",
    "to",
    "of",
    "and",
    "that",
    "have",
    "with",
    "a",
    "in",
    "is",
    "it",
    "for",
    "was",
    "on",
    "as",
    "are",
    "this",
    "by",
    "not",
    "or",
    "from",
    "at",
    "an",
]
EXACT, NEAR, UNLIKE, BAD = 0.05, 0.05, 0.03, 0.04
"""Shares of the documents: exact copies, near copies, rewritten ones that are not to be found, and bad texts."""
_WORDS = 60_000
_FILE_BYTES = 64 * 2**20
_RECENT = 4_000


@dataclass
class Planted:
    """What is in the corpus, by the documents' numbers."""

    exact: set[int] = field(default_factory=set)
    near: set[int] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)


def write(folder: Path, size_bytes: int, seed: int = 1) -> Planted:
    """Write files of JSON lines, `id` and `text`, of about so many bytes in all."""
    folder.mkdir(parents=True, exist_ok=True)
    planted, written, part, file = Planted(), 0, 0, None
    for number, text in enumerate(_texts(seed, planted)):
        if file is None or file.tell() > _FILE_BYTES:
            if file is not None:
                file.close()
            file = (folder / f"part-{part:04d}.jsonl").open("w")
            part += 1
        line = json.dumps({"id": number, "text": text}) + "\n"
        file.write(line)
        written += len(line)
        if written >= size_bytes:
            file.close()
            break
    return planted


def _texts(seed: int, planted: Planted) -> Iterator[str]:
    random = np.random.default_rng(seed)
    vocabulary = _vocabulary(random)
    recent: list[list[str]] = []
    number = 0
    while True:
        for words in _fresh(random, vocabulary):
            kind = random.random()
            place = int(random.integers(len(recent))) if recent else -1
            if kind < BAD:
                planted.bad.add(number)
                words = words[:20]
            elif kind < BAD + EXACT and place >= 0:
                planted.exact.add(number)
                words = recent.pop(place)
            elif kind < BAD + EXACT + NEAR and place >= 0:
                planted.near.add(number)
                words = _edited(recent.pop(place), 100, random, vocabulary)
            elif kind < BAD + EXACT + NEAR + UNLIKE and place >= 0:
                words = _edited(recent.pop(place), 6, random, vocabulary)
            else:
                recent.append(words)
                if len(recent) > _RECENT:
                    recent.pop(place)
            yield _sentences(words)
            number += 1


def _vocabulary(random: np.random.Generator) -> np.ndarray:
    letters = np.array(list("etaoinshrdlcumwfgypbvk"))
    weights = 1 / np.arange(1, len(letters) + 1) ** 0.6
    sizes = random.integers(3, 11, _WORDS)
    drawn = random.choice(letters, int(sizes.sum()), p=weights / weights.sum())
    words = ["".join(part) for part in np.split(drawn, np.cumsum(sizes)[:-1])]
    return np.array(COMMON + words)


def _fresh(random: np.random.Generator, vocabulary: np.ndarray) -> Iterator[list[str]]:
    """A thousand texts of 80 to 400 words, which come as often as words do (Zipf)."""
    weights = 1 / np.arange(3, len(vocabulary) + 3)
    sizes = random.integers(80, 400, 1000)
    drawn = vocabulary[np.searchsorted(np.cumsum(weights / weights.sum()), random.random(int(sizes.sum())))]
    for part in np.split(drawn, np.cumsum(sizes)[:-1]):
        yield part.tolist()


def _edited(words: list[str], every: int, random: np.random.Generator, vocabulary: np.ndarray) -> list[str]:
    """The words, about one of so many replaced."""
    edited = list(words)
    for place in random.permutation(len(words))[: max(len(words) // every, 1)]:
        edited[place] = str(vocabulary[random.integers(len(COMMON), len(vocabulary))])
    return edited


def _sentences(words: list[str]) -> str:
    lines = [" ".join(words[start : start + 12]).capitalize() + "." for start in range(0, len(words), 12)]
    return " ".join(lines)
