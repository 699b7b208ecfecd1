"""Tokens as sequences of one length, several texts in one, with the bounds between them kept.

- pack: {column: tokens, length: 16, end: 0, pad: 0}
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, check_columns
from modelhall.stages.prepare.steps._lists import flat, lists

REQUESTS = False


def apply(
    rows: pl.DataFrame, *, column: str = "tokens", length: int, end: int | None = None, pad: int | None = None
) -> Done:
    """Put the lists of `column` one behind the other, the token `end` after each, and cut every `length` tokens.

    A row then is a sequence: `column`, and `documents`, how many of its tokens are of each text in it. The last
    sequence of a shard is filled up with `pad`, or left out where none is given: less than one sequence in
    millions of tokens. Other columns go, since a sequence has several texts.
    """
    check_columns(rows, [column], "column")
    if not isinstance(rows.schema[column], pl.List):
        raise Rejected(f"column {column!r} holds {rows.schema[column]}, not lists of tokens", field="column")
    if length < 1:
        raise Rejected(f"a sequence has at least one token, not {length}", field="length")
    tokens, counts = flat(rows[column])
    if end is not None:
        tokens, counts = _ended(tokens, counts, end), counts + 1
    sequences, rest = divmod(len(tokens), length)
    if rest and pad is not None:
        tokens = np.concatenate([tokens, np.full(length - rest, pad, tokens.dtype)])
        sequences += 1
    bounds, pieces = _pieces(counts, length, sequences)
    packed = pl.Series(column, tokens[: sequences * length].reshape(sequences, length))
    return Done(rows=pl.DataFrame([packed, lists("documents", bounds, pieces)]))


def _ended(tokens: np.ndarray, counts: np.ndarray, end: int) -> np.ndarray:
    """The tokens with one more after each text."""
    ended = np.empty(len(tokens) + len(counts), tokens.dtype)
    ends = np.cumsum(counts + 1) - 1
    inside = np.ones(len(ended), bool)
    inside[ends] = False
    ended[ends] = end
    ended[inside] = tokens
    return ended


def _pieces(counts: np.ndarray, length: int, sequences: int) -> tuple[np.ndarray, np.ndarray]:
    """How long each piece of a text is, and how many pieces each sequence has; padding is of no text."""
    ends = np.cumsum(counts)
    last = min(sequences * length, int(ends[-1])) if len(ends) else 0
    cuts = np.union1d(ends[(ends > 0) & (ends <= last)], np.arange(length, last + 1, length))
    cuts = np.union1d(cuts, [last]) if last else cuts
    sizes = np.diff(cuts, prepend=0)
    return sizes.astype(np.uint32), np.bincount((cuts - 1) // length, minlength=sequences)
