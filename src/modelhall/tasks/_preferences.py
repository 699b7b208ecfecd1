"""Rows with two answers, one of which was chosen: what is learnt is to prefer it, more than a reference does.

How likely each answer is to the reference is taken once, since the reference stays as it is; so nothing but the
network itself is in memory while it learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import torch

from modelhall.core.errors import Rejected
from modelhall.tasks import (
    Batch,
    Criterion,
    Examples,
    Network,
    Predictions,
    _tokenizers,
    outputs_of,
    predict,
)
from modelhall.tasks._answers import Answers, Row, exchange
from modelhall.tasks._generation import NOT_ASKED, token_losses

if TYPE_CHECKING:
    import polars as pl

_REFERENCE = "reference"
_BATCH = 8


class Pair(NamedTuple):
    chosen: Row
    rejected: Row
    reference: float | None = None
    """How much likelier the chosen answer is to the reference, as a logarithm; None while nobody asked it."""


class Preferences(Answers):
    """Fitted. An example's input is a `Pair`, its truth the tokens of the chosen answer. In a batch the chosen
    answers of all rows come first, then the rejected ones."""

    losses: tuple[str, ...] = ("dpo",)
    metrics: tuple[str, ...] = ("reward_accuracy", "perplexity", "token_accuracy")
    compares = True
    """Rows are learnt from by what a reference makes of them."""

    def longest(self, train: pl.DataFrame) -> int:
        return max(len(self._row(messages).tokens) for messages in both(train, self.columns)) - 1

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        talks = [
            self._cut(split, place // 2, self._row(talk))
            for place, talk in enumerate(both(frame, self.columns, split))
        ]
        pairs = [Pair(chosen, rejected) for chosen, rejected in zip(talks[::2], talks[1::2], strict=True)]
        truth = [pair.chosen.tokens[1:][pair.chosen.asked[1:]].tolist() for pair in pairs]
        lengths = [max(len(pair.chosen.tokens), len(pair.rejected.tokens)) for pair in pairs]
        return Examples(inputs=pairs, truth=truth, lengths=lengths)

    def _talks(self, split: str, frame: pl.DataFrame) -> Iterator[list[dict[str, str]]]:
        """Those with the chosen answers."""
        return islice(both(frame, self.columns, split), 0, None, 2)

    def documents(self, split: str, frame: pl.DataFrame) -> Examples:
        """Raises Rejected: both answers of a row are learnt from together."""
        raise Rejected(
            "pairs of answers do not stand side by side; leave `packing` out", field="train.packing"
        )

    def referred(self, examples: Examples, reference: Network) -> Examples:
        """The same rows, with what the reference makes of them."""
        margins = predict(self, reference, examples, batch=_BATCH).scores[:, 0].tolist()
        pairs = zip(examples.inputs, margins, strict=True)
        return replace(examples, inputs=[pair._replace(reference=margin) for pair, margin in pairs])

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids`, `attention_mask` and `labels`, int64 (2 · rows, longest); `reference`, float32 (rows,)."""
        if examples.truth is None:
            return super().batch(examples, rows)
        pairs: list[Pair] = [examples.inputs[row] for row in rows]
        told = [pair.reference for pair in pairs if pair.reference is not None]
        talks = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        known = {_REFERENCE: torch.tensor(told)} if len(told) == len(pairs) else {}
        return {**self._padded([self._asked(row) for row in talks]), **known}

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        """The criterion takes how much likelier the chosen answers are to the network, and to the reference."""
        if _REFERENCE not in batch:
            raise Rejected(
                "rows that vary while they are learnt from cannot be held against a reference", field="data"
            )
        losses, _ = self._losses(network, batch)
        return criterion(_margins(losses), batch[_REFERENCE])

    def predict(self, network: Network, batch: Batch) -> Predictions:
        """Of the chosen answers as for any others; the scores are how much likelier they are than the rejected."""
        if "labels" not in batch:
            return super().predict(network, batch)
        losses, logits = self._losses(network, batch)
        margins = _margins(losses)
        rows = len(margins)
        asked = batch["labels"][:rows] != NOT_ASKED
        told = logits[:rows].argmax(-1)
        return Predictions(
            predicted=[row[its].tolist() for row, its in zip(told, asked, strict=True)],
            scores=margins[:, None].numpy(),
            losses=(losses[:rows].sum(1) / asked.sum(1)).numpy(),
            told=asked.sum(1).numpy(),
            rewards=(margins - batch[_REFERENCE]).numpy() if _REFERENCE in batch else None,
        )

    @staticmethod
    def _losses(network: Network, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each token of an answer, (2 · rows, longest), and all outputs."""
        given = {name: part for name, part in batch.items() if name != _REFERENCE}
        logits = outputs_of(network, given).float()
        return token_losses(logits, batch["labels"]), logits


def both(
    frame: pl.DataFrame, columns: Mapping[str, str], split: str = "train"
) -> Iterator[list[dict[str, str]]]:
    """The two conversations of each row, first that with the chosen answer."""
    prompts, chosen, rejected = (
        _tokenizers.texts_of(split, frame[columns[part]], field=f"columns.{part}")
        for part in ("prompt", "chosen", "rejected")
    )
    for said, better, worse in zip(prompts, chosen, rejected, strict=True):
        yield exchange(said, better)
        yield exchange(said, worse)


def _margins(losses: torch.Tensor) -> torch.Tensor:
    """How much likelier the first half of the answers are than the second, as logarithms."""
    rows = len(losses) // 2
    likely = -losses.sum(1)
    return likely[:rows] - likely[rows:]
