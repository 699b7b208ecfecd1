"""Texts that go on: what all rows of text generation share, and rows that are texts.

Texts stand one after the other with a token for the end of each between them, and are cut into sequences of one
length, every token of which but the first is to be told from those before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    _byte_pairs,
    _last_layer,
    _packing,
    _tokenizers,
    outputs_of,
    write_fitted,
)
from modelhall.tasks._continuing import follow

if TYPE_CHECKING:
    import polars as pl

MAX_LENGTH = 256
"""Tokens a sequence has when nothing sets a limit."""
NOT_ASKED = -100
"""What stands in `labels` for tokens that are not to be told; torch's losses pass it over."""


class Fitted(Frozen):
    """task.json."""

    columns: dict[str, str]
    length: int = Field(default=MAX_LENGTH, ge=2, le=_tokenizers.LONGEST)
    special: dict[str, str] = Field(default_factory=dict)
    """Those of a base's tokens that are no text, by their use; none when the vocabulary was fitted."""
    template: str = ""
    """How a conversation is written, where rows are such."""
    reads: int | None = Field(default=None, ge=2, le=_tokenizers.LONGEST)
    """Tokens that the network reads at most, where that is not the length of rows."""


class Generation:
    """Fitted. An example's input is a sequence and the token after it, its truth all but its first token; a request's
    is the end of its text."""

    losses: tuple[str, ...] = ("cross-entropy",)
    metrics: tuple[str, ...] = ("perplexity", "token_accuracy")
    inputs: tuple[Tensor, ...] = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)
    outputs: tuple[Tensor, ...] = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)
    MOST_NEW = 64
    """Tokens a request is continued by."""

    def __init__(self, fitted: Fitted, tokenizer: Tokenizer) -> None:
        self._fitted = fitted
        self.tokenizer = tokenizer
        self._special = fitted.special or {"eos": _byte_pairs.END}
        self._end = _tokenizers.number_of(tokenizer, self._special["eos"])
        self._pad = _tokenizers.number_of(tokenizer, self._special.get("pad", self._special["eos"]))
        self.reads = fitted.reads or fitted.length
        self.most_new = min(self.MOST_NEW, self.reads // 2)
        self.ends = self._ends()
        self.columns: Mapping[str, str] = fitted.columns
        self.shape = Shape(
            head="causal-lm",
            sizes={"vocabulary": tokenizer.get_vocab_size(), "length": fitted.length, "pad": self._pad},
        )

    def longest(self, train: pl.DataFrame) -> int:
        """The tokens of the longest row there can be; raises Rejected where there is nothing to learn."""
        many = len(self._joined("train", train))
        if many < 3:
            raise Rejected("train has no text to learn from", field="columns.text")
        return many - 1

    @staticmethod
    def length(longest: int, said: int | None, reads: int | None) -> int:
        """How long rows are, by the longest there can be, what is said of the network, and what a base reads."""
        return min(longest, said or MAX_LENGTH, reads or longest)

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        """What is left behind the last whole sequence is left out, unless it is all there is."""
        tokens = self._joined(split, frame)
        if len(tokens) < 2:
            raise Rejected(f"{split} has no text", field="columns.text")
        length = min(self._fitted.length, len(tokens) - 1)
        sequences = [tokens[start : start + length + 1] for start in range(0, len(tokens) - length, length)]
        return Examples(inputs=sequences, truth=[sequence[1:].tolist() for sequence in sequences])

    def documents(self, split: str, frame: pl.DataFrame) -> Examples:
        """Each text in sequences of its own, from the token for the end of what was before it."""
        length = self._fitted.length
        sequences = [
            np.array(text[start : start + length + 1], dtype=np.int64)
            for text in ([self._end, *tokens, self._end] for tokens in self._texts(split, frame))
            for start in range(0, len(text) - 1, length)
        ]
        return Examples(
            inputs=sequences,
            truth=[sequence[1:].tolist() for sequence in sequences],
            lengths=[len(sequence) - 1 for sequence in sequences],
        )

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """The ends of texts, so that there is room for what follows."""
        found = self.tokenizer.encode_batch_fast(_tokenizers.asked(inputs["text"]))
        room = self.reads - self.most_new
        return Examples(inputs=[(encoding.ids or [self._end])[-room:] for encoding in found])

    def sample(self) -> dict[str, Tensor]:
        return {"text": Tensor(name="text", datatype="BYTES", shape=(1,), data=["a"])}

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids`, `attention_mask` and `labels`, int64 (rows, longest)."""
        chosen = [examples.inputs[row] for row in rows]
        if examples.truth is None:
            return _tokenizers.padded(chosen, pad=self._pad)
        return self._padded([self._asked(row) for row in chosen])

    def packed(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids`, `labels` and what keeps sequences apart."""
        asked = [self._asked(examples.inputs[row]) for row in rows]
        lengths = [len(read) for read, _ in asked]
        beside = _packing.places(lengths)
        return {
            "input_ids": _packing.laid([read.tolist() for read, _ in asked], beside, pad=self._pad),
            "labels": _packing.laid([wanted.tolist() for _, wanted in asked], beside, pad=NOT_ASKED),
            **_packing.apart(lengths, beside, looks_back_only=True),
        }

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        wanted = batch["labels"]
        inputs = {name: part for name, part in batch.items() if name != "labels"}
        return _last_layer.loss(network, inputs, criterion, wanted=wanted, asked=wanted != NOT_ASKED)

    def predict(self, network: Network, batch: Batch) -> Predictions:
        """Where the truth is known, the likeliest token at each place and the mean log-probability of the truth; else
        what follows, the likeliest token each time."""
        if "labels" not in batch:
            return follow(network, batch, most=self.most_new, reads=self.reads, ends=self.ends, pad=self._pad)
        logits, wanted = outputs_of(network, batch).float(), batch["labels"]
        asked = wanted != NOT_ASKED
        mean = token_losses(logits, wanted).sum(1) / asked.sum(1)
        told = logits.argmax(-1)
        return Predictions(
            predicted=[row[its].tolist() for row, its in zip(told, asked, strict=True)],
            scores=-mean[:, None].numpy(),
            losses=mean.numpy(),
            told=asked.sum(1).numpy(),
        )

    def answer(self, predictions: Predictions) -> list[Tensor]:
        """What follows, as text."""
        texts = self.tokenizer.decode_batch([list(tokens) for tokens in predictions.predicted])
        return [Tensor(name="text", datatype="BYTES", shape=(len(texts),), data=texts)]

    def save(self, folder: Path) -> None:
        """Beside the task's own file, the tokenizer as `AutoTokenizer.from_pretrained` reads it."""
        told = self._fitted.model_dump(mode="json", exclude_defaults=True)
        write_fitted(folder, told | {"length": self._fitted.length})
        _tokenizers.save(
            folder,
            self.tokenizer,
            length=self.reads,
            special=self._special,
            template=self._fitted.template or None,
        )

    def _joined(self, split: str, frame: pl.DataFrame) -> np.ndarray:
        """The tokens of all texts, int64, each text with the token for its end behind it."""
        found = self._texts(split, frame)
        return np.array([token for tokens in found for token in (*tokens, self._end)], dtype=np.int64)

    def _texts(self, split: str, frame: pl.DataFrame) -> Iterator[list[int]]:
        """The tokens of each text."""
        texts = _tokenizers.texts_of(split, frame[self.columns["text"]])
        return (encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts))

    def _asked(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        """What is read of a row, and what is to be told at each place."""
        return row[:-1], row[1:]

    def _padded(self, rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> Batch:
        batch = _tokenizers.padded([read for read, _ in rows], pad=self._pad)
        labels = _tokenizers.padded([asked for _, asked in rows], pad=NOT_ASKED)
        return {**batch, "labels": labels["input_ids"]}

    def _ends(self) -> frozenset[int]:
        """The tokens that a continuation ends with."""
        return frozenset({self._end})


def token_losses(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Of each token that is to be told, (rows, longest)."""
    return functional.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=NOT_ASKED, reduction="none")
