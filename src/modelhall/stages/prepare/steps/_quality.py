"""What tells good texts from bad: languages by script, repetition, and the published rules for documents."""

from __future__ import annotations

import numpy as np
import polars as pl

from modelhall.stages.prepare.steps._words import Words, words

LANGUAGES = {"en": "English", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ru": "Russian"}
_GOPHER_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_ENGLISH_WORDS = (
    "the",
    "be",
    "to",
    "of",
    "and",
    "a",
    "in",
    "that",
    "is",
    "it",
    "for",
    "was",
    "this",
    "you",
    "with",
)
_NGRAM = 5


def word_counts(texts: pl.Series) -> np.ndarray:
    """How many words each text has."""
    return np.concatenate([chunk.counts for chunk in words(texts)]) if len(texts) else np.zeros(0, int)


def script(texts: pl.Series, language: str) -> pl.Series:
    """Whether most letters are of the language's script, and where others share it, that it is this one."""
    letters = texts.str.count_matches(r"\p{L}")
    kana = texts.str.count_matches(r"[\p{Hiragana}\p{Katakana}]")
    han = texts.str.count_matches(r"\p{Han}")
    if language == "zh":
        return (han * 2 > letters) & (kana * 10 < han)
    if language == "ja":
        return ((kana + han) * 2 > letters) & (kana * 10 >= han)
    if language == "ko":
        return texts.str.count_matches(r"\p{Hangul}") * 2 > letters
    if language == "ru":
        return texts.str.count_matches(r"\p{Cyrillic}") * 2 > letters
    latin = texts.str.count_matches(r"\p{Latin}") * 10 > letters * 9
    common = [_share_of(chunk, _ENGLISH_WORDS) > 0.05 for chunk in words(texts)]
    return latin & pl.Series(np.concatenate(common) if common else np.zeros(0, bool))


def repetition(texts: pl.Series) -> np.ndarray:
    """The share of each text's word 5-grams that it has had before."""
    found = []
    for chunk in words(texts):
        hashes, text = chunk.hashes(), chunk.text
        whole = max(len(hashes) - _NGRAM + 1, 0)
        grams = np.zeros(whole, np.uint64)
        for offset in range(_NGRAM):
            grams = grams * np.uint64(0xFF51AFD7ED558CCD) + hashes[offset : offset + whole]
        inside = text[:whole] == text[_NGRAM - 1 :][:whole]
        of = text[:whole][inside]
        order = np.lexsort((grams[inside], of))
        again = (np.diff(grams[inside][order]) == 0) & (np.diff(of[order]) == 0)
        repeats = np.bincount(of[order][1:][again], minlength=len(chunk.counts))
        found.append(repeats / np.maximum(chunk.counts - _NGRAM + 1, 1))
    return np.concatenate(found) if found else np.zeros(0)


def gopher(texts: pl.Series) -> dict[str, pl.Series]:
    """By the rule, whether a text breaks it (Rae et al. 2021, A.1.1)."""
    told = [_gopher_of_words(chunk) for chunk in words(texts)]
    if not told:
        return {}
    drop = {rule: pl.Series(np.concatenate([chunk[rule] for chunk in told])) for rule in told[0]}
    counts = drop.pop("count")
    dots = texts.str.count_matches("...", literal=True) + texts.str.count_matches("…", literal=True)
    drop["many hashes"] = texts.str.count_matches("#", literal=True) > 0.1 * counts
    drop["many ellipses"] = dots > 0.1 * counts
    several = texts.str.count_matches("\n", literal=True) + 1
    drop["mostly bullets"] = texts.str.count_matches(r"(?m)^[ \t]*[-•]") > 0.9 * several
    drop["many lines end in ellipses"] = (dots > 0) & (
        texts.str.count_matches(r"(?m)(?:\.\.\.|…)\s*$") > 0.3 * several
    )
    return drop


def lines(texts: pl.Series) -> dict[str, pl.Series]:
    """By the rule, whether a text breaks it (Raffel et al. 2020, 2.2)."""
    return {
        "fewer than three sentences": texts.str.count_matches(r"(?m)[.!?。！？]['\"”’]?\s*$") < 3,
        "curly bracket": texts.str.contains("{", literal=True),
        "lorem ipsum": texts.str.contains("(?i)lorem ipsum"),
        "JavaScript notice": texts.str.contains(
            r"(?i)enable javascript|javascript (?:is|must be) (?:disabled|enabled)"
        ),
    }


def _gopher_of_words(chunk: Words) -> dict[str, np.ndarray]:
    """The rules on words; the number of words as `count`."""
    counts = chunk.counts
    some = np.maximum(counts, 1)
    mean = _sums(chunk, chunk.lengths()) / some
    return {
        "fewer than 50 words": counts < 50,
        "more than 100,000 words": counts > 100_000,
        "words are short": mean < 3,
        "words are long": mean > 10,
        "few words with letters": _sums(chunk, chunk.have_letters()) < 0.8 * counts,
        "few common words": _different(chunk, _GOPHER_WORDS) < 2,
        "count": counts,
    }


def _sums(chunk: Words, values: np.ndarray) -> np.ndarray:
    """Of a value a word, the sum over each text."""
    sums = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    told: np.ndarray = sums[chunk.first + chunk.counts] - sums[chunk.first]
    return told


def _different(chunk: Words, listed: tuple[str, ...]) -> np.ndarray:
    """How many different ones of the listed words each text has."""
    told: np.ndarray = np.sum([_sums(chunk, told) > 0 for told in chunk.are(listed)], axis=0)
    return told


def _share_of(chunk: Words, listed: tuple[str, ...]) -> np.ndarray:
    """The share of words that are one of those listed."""
    told: np.ndarray = _sums(chunk, np.any(chunk.are(listed), axis=0)) / np.maximum(chunk.counts, 1)
    return told
