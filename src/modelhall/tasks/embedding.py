"""Embedding: texts as vectors, near each other where the texts belong together.

A row is a text (the anchor) and one that belongs to it, with or without one that does not though it looks as if it
did; or two texts and how near they are to each other. A vector has length 1, so that the cosine of two of them is
their product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field
from tokenizers import Tokenizer
from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.shape import Shape
from modelhall.tasks import (
    Batch,
    Criterion,
    Examples,
    Network,
    Predictions,
    Tensor,
    _ranks,
    _tokenizers,
    _vocabularies,
    _wordpiece,
    outputs_of,
    read_fitted,
    write_fitted,
)

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"anchor": "anchor", "positive": "positive"}
OTHER_COLUMNS = (
    {"anchor": "anchor", "positive": "positive", "negative": "negative"},
    {"anchor": "anchor", "other": "other", "score": "score"},
)
LOSSES = ("contrastive", "mse", "mae")
PREDICTS = ("vectors",)
COMPRESSES = False
TAKES_BASE = True
MAX_LENGTH = 256
"""Tokens a text is cut to when the network sets no limit."""
_TEXTS = ("anchor", "positive", "negative", "other")


def fit(
    splits: Mapping[str, pl.DataFrame],
    columns: Mapping[str, str],
    *,
    length: int | None,
    base: Path | None = None,
) -> Embedding:
    """Learn the length of texts and, without a base, the vocabulary from the training split."""
    texts = [text for part in _parts(columns) for text in _texts("train", splits["train"], columns, part)]
    brought = None if base is None else _vocabularies.read(base)
    tokenizer = _wordpiece.train(texts) if brought is None else brought.tokenizer
    longest = max(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts))
    fitted = _Fitted(
        columns=dict(columns),
        length=min(longest, length or MAX_LENGTH, (brought and brought.longest) or MAX_LENGTH),
        special={} if brought is None else dict(brought.special),
    )
    return _kind(columns)(fitted, tokenizer)


def load(folder: Path) -> Embedding:
    """What `save` wrote."""
    fitted = read_fitted(folder, _Fitted)
    tokenizer = (
        _vocabularies.stored(folder) if fitted.special else _tokenizers.stored(folder, _wordpiece.PARTS)
    )
    return _kind(fitted.columns)(fitted, tokenizer)


class _Fitted(Frozen):
    """task.json."""

    columns: dict[str, str]
    length: int = Field(ge=2, le=_tokenizers.LONGEST)
    special: dict[str, str] = Field(default_factory=dict)
    """Those of a base's tokens that are no text, by their use; none when the vocabulary was fitted."""


class Embedding:
    """Fitted, for rows of texts that belong together. An example's input is the tokens of each of its texts, its
    truth a number for each: the same for texts that are the same. A request's input is the tokens of one text.

    In a batch the anchors of all rows come first, then what belongs to each, then what does not."""

    losses: tuple[str, ...] = ("contrastive",)
    metrics: tuple[str, ...] = ("mean_reciprocal_rank", "recall_at_1", "recall_at_10")
    inputs = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)
    outputs = (
        Tensor(name="embedding", datatype="FP32", shape=(-1, -1)),
        Tensor(name="tokens", datatype="INT64", shape=(-1,)),
    )

    def __init__(self, fitted: _Fitted, tokenizer: Tokenizer) -> None:
        self._fitted = fitted
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(fitted.length)
        self._special = fitted.special or _wordpiece.SPECIAL
        self._pad = _tokenizers.number_of(tokenizer, self._special["pad"])
        self.columns: Mapping[str, str] = fitted.columns
        self.shape = Shape(
            head="text-embedding",
            sizes={"vocabulary": tokenizer.get_vocab_size(), "length": fitted.length, "pad": self._pad},
        )

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        texts = [_texts(split, frame, self.columns, part) for part in _parts(self.columns)]
        tokens = list(zip(*map(self._tokens, texts), strict=True))
        return Examples(
            inputs=tokens,
            truth=self._truth(split, frame, texts),
            lengths=[max(map(len, row)) for row in tokens],
        )

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """Texts as they are."""
        tokens = self._tokens(_tokenizers.asked(inputs["text"]))
        return Examples(inputs=tokens, lengths=[len(row) for row in tokens])

    def sample(self) -> dict[str, Tensor]:
        return {"text": Tensor(name="text", datatype="BYTES", shape=(1,), data=["a"])}

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids` and `attention_mask`, int64 (texts, longest); `labels` (rows, …), the truth of each row."""
        chosen = [examples.inputs[row] for row in rows]
        if examples.truth is None:
            return _tokenizers.padded(chosen, pad=self._pad)
        texts = [text for part in zip(*chosen, strict=True) for text in part]
        truth = torch.tensor([examples.truth[row] for row in rows])
        return {**_tokenizers.padded(texts, pad=self._pad), "labels": truth}

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        """The criterion takes how near each anchor is to everything in the batch that is no anchor, and which of that
        belongs to it: its own, at the place of its row, and whatever is the same."""
        numbers = batch["labels"]
        rows = len(numbers)
        vectors = _vectors(network, batch)
        near = vectors[:rows] @ vectors[rows:].T
        anchors, others = numbers[:, 0], numbers[:, 1:].T.flatten()
        belongs = numbers[:, 1, None] == others
        belongs[:, :rows] |= anchors[:, None] == anchors
        return criterion(near, belongs)

    def predict(self, network: Network, batch: Batch) -> Predictions:
        """Vectors: of anchors and what belongs to them, (rows, 2, size), or of a request's texts, (rows, size)."""
        vectors = _vectors(network, batch)
        if "labels" not in batch:
            read = batch["attention_mask"].sum(1).tolist()
            return Predictions(predicted=read, scores=vectors.numpy())
        rows = len(batch["labels"])
        return Predictions(
            predicted=[0] * rows, scores=torch.stack((vectors[:rows], vectors[rows : 2 * rows]), 1).numpy()
        )

    def together(self, predictions: Predictions) -> Predictions:
        """At which place among those of all rows each anchor finds what belongs to it, 1 first; and its loss."""
        places, losses = _ranks.of(predictions.scores, np.asarray(predictions.truth))
        return replace(predictions, predicted=places.tolist(), losses=losses)

    def answer(self, predictions: Predictions) -> list[Tensor]:
        """The vector of each text, and how many of its tokens were read."""
        rows = len(predictions.predicted)
        size = predictions.scores.shape[-1]
        flat = predictions.scores.ravel().tolist()
        return [
            Tensor(name="embedding", datatype="FP32", shape=(rows, size), data=flat),
            Tensor(name="tokens", datatype="INT64", shape=(rows,), data=list(predictions.predicted)),
        ]

    def save(self, folder: Path) -> None:
        """Beside the task's own file, the tokenizer as `AutoTokenizer.from_pretrained` reads it."""
        write_fitted(folder, self._fitted.model_dump(mode="json", exclude_defaults=True))
        _tokenizers.save(folder, self._tokenizer, length=self._fitted.length, special=self._special)

    def _truth(self, split: str, frame: pl.DataFrame, texts: Sequence[Sequence[str]]) -> Sequence[Any]:
        numbers: dict[str, int] = {}
        return [
            tuple(numbers.setdefault(text, len(numbers)) for text in row) for row in zip(*texts, strict=True)
        ]

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        # A base may have tokens of which nothing is left of an empty text.
        return [encoding.ids or [self._pad] for encoding in self._tokenizer.encode_batch_fast(list(texts))]


class Nearness(Embedding):
    """Fitted, for rows that say how near two texts are. An example's truth is that, from 0 to 1."""

    losses = ("mse", "mae")
    metrics = ("spearman",)

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        """The criterion takes the cosine of each row's texts, and what it should be."""
        return criterion(_cosines(_vectors(network, batch), len(batch["labels"])), batch["labels"])

    def predict(self, network: Network, batch: Batch) -> Predictions:
        if "labels" not in batch:
            return super().predict(network, batch)
        near = _cosines(_vectors(network, batch), len(batch["labels"]))
        return Predictions(
            predicted=near.tolist(),
            scores=near[:, None].numpy(),
            losses=(near - batch["labels"]).square().numpy(),
        )

    def together(self, predictions: Predictions) -> Predictions:
        """Each row tells by itself."""
        return predictions

    def _truth(self, split: str, frame: pl.DataFrame, texts: Sequence[Sequence[str]]) -> Sequence[Any]:
        scores = frame[self.columns["score"]]
        if not scores.dtype.is_numeric() or scores.null_count():
            raise Rejected(f"{scores.name} is not a number in every row of {split}", field="columns.score")
        low, high = float(scores.min()), float(scores.max())  # type: ignore[arg-type]
        if not (low >= 0 and high <= 1):
            raise Rejected(
                f"{scores.name} goes from {low:g} to {high:g} in {split}, and nearness from 0 to 1; bring it there "
                f"by `derive`, such as `{scores.name}: {scores.name} / {max(high, 1):g}`",
                field="columns.score",
            )
        return [float(score) for score in scores]


def _kind(columns: Mapping[str, str]) -> type[Embedding]:
    """What rows of these parts are learnt as."""
    return Nearness if "score" in columns else Embedding


def _parts(columns: Mapping[str, str]) -> list[str]:
    """Those that are texts, in order."""
    return [part for part in _TEXTS if part in columns]


def _texts(split: str, frame: pl.DataFrame, columns: Mapping[str, str], part: str) -> list[str]:
    return _tokenizers.texts_of(split, frame[columns[part]], field=f"columns.{part}")


def _vectors(network: Network, batch: Batch) -> torch.Tensor:
    """Of length 1, float32 (texts, size)."""
    return functional.normalize(outputs_of(network, batch).float(), dim=-1)


def _cosines(vectors: torch.Tensor, rows: int) -> torch.Tensor:
    return (vectors[:rows] * vectors[rows:]).sum(1)
