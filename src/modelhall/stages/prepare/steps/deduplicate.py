"""Keep one of each set of equal or nearly equal rows: the first.

- deduplicate: {near: 0.85, ngram: 5}
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Marks, Verdict, check_columns, text_columns
from modelhall.stages.prepare.steps._minhash import SIZE, bands, signatures, similarity

_BANDS = (4, 8, 16, 32, 64)
_RECALL = 0.99
_PAIRS = 1 << 18
"""Pairs compared at a time, by 128 bytes of either row: each time all signatures are gone through."""


def mark(
    rows: pl.DataFrame, *, columns: list[str] | None = None, near: float | None = None, ngram: int = 5
) -> pl.DataFrame:
    """What of each row is compared: 128 bits of its content and, where near duplicates are looked for, its signature
    and the bands of that."""
    if near is not None and not 0.5 <= near < 1:
        raise Rejected(f"near is a share of at least 0.5 and below 1, not {near:g}", field="near")
    if ngram < 1:
        raise Rejected(f"an n-gram has at least one word, not {ngram}", field="ngram")
    names = _compared(rows, columns, near)
    content = rows.select(names)
    marks = pl.DataFrame({"one": content.hash_rows(0), "other": content.hash_rows(1)})
    if near is None:
        return marks
    texts = content.select(pl.concat_str(names, separator="\n", ignore_nulls=True)).to_series()
    found, told = zip(*signatures(texts, ngram), strict=True) if rows.height else ((), ())
    signature = np.concatenate(found) if found else np.zeros((0, SIZE), np.uint32)
    banded = bands(signature, _bands(near))
    low = np.ascontiguousarray(signature.astype(np.uint8))
    return marks.with_columns(
        pl.Series("told", np.concatenate(told) if told else [], pl.Boolean),
        pl.Series("signature", low, pl.Array(pl.UInt8, SIZE)),
        *(pl.Series(f"band_{place}", banded[:, place]) for place in range(banded.shape[1])),
    )


def decide(marks: Marks, *, near: float | None = None) -> Verdict:
    """Drop rows that are equal to an earlier one in `columns`: by default those of text, or all where there are none.

    With `near`, also rows whose text is like an earlier one's: the share of word n-grams (of `ngram` words) they
    have in common is at least `near`. Candidates are found by bands of MinHash signatures, so that a pair just as
    alike as that is found in 99 of 100 cases, and then compared; what is like what is like the first counts too.
    """
    equal = _repeats(marks.column("one").to_numpy(), marks.column("other").to_numpy())
    if near is None:
        return Verdict(drop={"duplicate": equal})
    alone = ~equal & marks.column("told").to_numpy()
    first = np.arange(len(equal), dtype=np.int64)
    pairs = np.zeros(0, np.int64)
    for place in range(_bands(near)):
        one, other = _candidates(marks.column(f"band_{place}").to_numpy(), alone)
        pairs = np.union1d(pairs, one * len(first) + other)
    for start in range(0, len(pairs), _PAIRS):
        one, other = np.divmod(pairs[start : start + _PAIRS], len(first))
        alike = similarity(marks.values("signature", one), marks.values("signature", other)) >= near
        _join(first, one[alike], other[alike])
    return Verdict(drop={"duplicate": equal, "near duplicate": _roots(first) != np.arange(len(first))})


def _compared(rows: pl.DataFrame, columns: list[str] | None, near: float | None) -> list[str]:
    if near is not None:
        names = text_columns(rows, columns)
        if not names:
            raise Rejected(
                "there is no text to find near duplicates in; without `near` equal rows are found",
                field="near",
            )
        return names
    check_columns(rows, columns or [])
    return columns or text_columns(rows, None) or rows.columns


def _bands(near: float) -> int:
    """As few bands as find such a pair in _RECALL of all cases: b bands of r places, 1 - (1 - near^r)^b."""
    enough = (count for count in _BANDS if 1 - (1 - near ** (SIZE // count)) ** count >= _RECALL)
    return next(enough, _BANDS[-1])


def _repeats(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether both numbers of a row are those of an earlier row."""
    order = np.lexsort((other, one))
    same = (one[order][1:] == one[order][:-1]) & (other[order][1:] == other[order][:-1])
    repeats = np.zeros(len(one), bool)
    # The sort is stable: within equal ones, the first row comes first.
    repeats[order[1:][same]] = True
    return repeats


def _candidates(band: np.ndarray, alone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows with the same band, each row with the one before it."""
    rows = np.flatnonzero(alone)
    order = rows[np.argsort(band[rows], kind="stable")]
    same = band[order][1:] == band[order][:-1]
    return order[:-1][same], order[1:][same]


def _roots(first: np.ndarray) -> np.ndarray:
    """The first row of the set that each row is in."""
    roots = first
    while not np.array_equal(first[roots], roots):
        roots = first[roots]
    return roots


def _join(first: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Make one set of the two that each pair is in."""
    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        while first[a] != a:
            a = int(first[a])
        while first[b] != b:
            b = int(first[b])
        first[max(a, b)] = min(a, b)
