"""What a text goes on with, by counting: interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1998), the
language model to beat before there were networks."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

_DISCOUNT = 0.75
"""Taken from every count, for what was never seen."""


class _Follows(NamedTuple):
    """What came after one context."""

    counts: Counter[int]
    total: int


class Ngrams:
    """How likely a token is after the `order` - 1 before it, learnt from some texts."""

    def __init__(self, texts: Sequence[Sequence[int]], *, order: int, vocabulary: int) -> None:
        self._order = order
        self._vocabulary = vocabulary
        counted = _counted(texts, order)
        self._tables = [
            {context: _Follows(counts, counts.total()) for context, counts in table.items()}
            for table in (*map(_continuations, counted[1:]), counted[-1])
        ]
        """For each length of context; but for the longest, of how many different tokens each came after."""

    def perplexity(self, texts: Sequence[Sequence[int]]) -> float:
        """Of all tokens of each text but the first."""
        losses = [
            -math.log(self._chance(tuple(text[max(0, place - self._order + 1) : place]), text[place]))
            for text in texts
            for place in range(1, len(text))
        ]
        return math.exp(sum(losses) / len(losses))

    def _chance(self, context: tuple[int, ...], token: int) -> float:
        if not context:
            return self._of(0, (), token, 1 / self._vocabulary)
        return self._of(len(context), context, token, self._chance(context[1:], token))

    def _of(self, length: int, context: tuple[int, ...], token: int, shorter: float) -> float:
        follows = self._tables[length].get(context)
        if follows is None:
            return shorter
        kept = max(follows.counts[token] - _DISCOUNT, 0.0)
        return (kept + _DISCOUNT * len(follows.counts) * shorter) / follows.total


Table = dict[tuple[int, ...], Counter[int]]
"""How often each token came after each context of one length."""


def _counted(texts: Sequence[Sequence[int]], order: int) -> list[Table]:
    """A table for each length of context, up to `order` - 1."""
    tables: list[Table] = [defaultdict(Counter) for _ in range(order)]
    for text in texts:
        for place, token in enumerate(text):
            for length in range(min(order, place + 1)):
                tables[length][tuple(text[place - length : place])][token] += 1
    return tables


def _continuations(longer: Table) -> Table:
    """Of contexts that are shorter by their first token: after how many different ones each token came."""
    table: Table = defaultdict(Counter)
    for context, counts in longer.items():
        table[context[1:]].update(dict.fromkeys(counts, 1))
    return table
