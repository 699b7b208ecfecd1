"""Text classification: which of the classes a text belongs to.

A row is a text and its label. Texts become WordPiece tokens from a vocabulary trained on the training split, or the
tokens of a base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from tokenizers import Tokenizer

from modelhall.core.kinds.base import Frozen
from modelhall.core.shape import Shape
from modelhall.tasks import (
    Batch,
    Examples,
    Tensor,
    _tokenizers,
    _vocabularies,
    _wordpiece,
    read_fitted,
    write_fitted,
)
from modelhall.tasks._classes import MAX_LABELS, Classes, labels_of

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"text": "text", "label": "label"}
LOSSES = ("cross-entropy", "binary-cross-entropy")
PREDICTS = ("classes",)
COMPRESSES = True
TAKES_BASE = True
MAX_LENGTH = 256
"""Tokens a text is cut to when the network sets no limit."""


def fit(
    splits: Mapping[str, pl.DataFrame],
    columns: Mapping[str, str],
    *,
    length: int | None,
    base: Path | None = None,
) -> TextClassification:
    """Learn labels, the length of texts and, without a base, the vocabulary from the training split."""
    train = splits["train"]
    texts = _tokenizers.texts_of("train", train[columns["text"]])
    brought = None if base is None else _vocabularies.read(base)
    tokenizer = _wordpiece.train(texts) if brought is None else brought.tokenizer
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)]
    task = TextClassification(
        columns=columns,
        labels=labels_of(train[columns["label"]]),
        length=min(max(lengths), length or MAX_LENGTH, (brought and brought.longest) or MAX_LENGTH),
        special={} if brought is None else dict(brought.special),
        tokenizer=tokenizer,
    )
    task.check(splits, columns["label"])
    return task


def load(folder: Path) -> TextClassification:
    """What `save` wrote."""
    return TextClassification(**read_parts(folder))


def read_parts(folder: Path) -> dict[str, Any]:
    """What a task over labelled texts was made of."""
    fitted = read_fitted(folder, _Fitted)
    tokenizer = (
        _vocabularies.stored(folder) if fitted.special else _tokenizers.stored(folder, _wordpiece.PARTS)
    )
    return {**dict(fitted), "tokenizer": tokenizer}


class _Fitted(Frozen):
    """task.json."""

    columns: dict[str, str]
    labels: tuple[str, ...] = Field(min_length=2, max_length=MAX_LABELS)
    length: int = Field(ge=2, le=_tokenizers.LONGEST)
    special: dict[str, str] = Field(default_factory=dict)
    """Those of a base's tokens that are no text, by their use; none when the vocabulary was fitted."""


class TextClassification(Classes):
    """Fitted. An example's input is its token numbers, with [CLS] before and [SEP] behind."""

    inputs: tuple[Tensor, ...] = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)

    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        labels: Sequence[str],
        length: int,
        tokenizer: Tokenizer,
        special: Mapping[str, str],
    ) -> None:
        super().__init__(labels)
        self.columns = columns
        self._length = length
        self._special = special
        self._pad = _tokenizers.number_of(tokenizer, special["pad"]) if special else 0
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(length)
        self.shape = Shape(
            head="sequence-classification",
            sizes={"vocabulary": tokenizer.get_vocab_size(), "length": length, "pad": self._pad},
            labels=self.labels,
        )

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        tokens = self._tokens(_tokenizers.texts_of(split, frame[self.columns["text"]]))
        truth = self.truth(split, frame[self.columns["label"]])
        return Examples(inputs=tokens, truth=truth, lengths=[len(row) for row in tokens])

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """Texts as they are."""
        tokens = self._tokens(_tokenizers.asked(inputs["text"]))
        return Examples(inputs=tokens, lengths=[len(row) for row in tokens])

    def sample(self) -> dict[str, Tensor]:
        return {"text": Tensor(name="text", datatype="BYTES", shape=(1,), data=["a"])}

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids` and `attention_mask`, int64 (rows, longest)."""
        batch = _tokenizers.padded([examples.inputs[row] for row in rows], pad=self._pad)
        if examples.truth is not None:
            batch["labels"] = torch.tensor([examples.truth[row] for row in rows])
        return batch

    def save(self, folder: Path) -> None:
        """Beside the task's own file, the tokenizer as `AutoTokenizer.from_pretrained` reads it."""
        told = {"columns": dict(self.columns), "labels": list(self.labels), "length": self._length}
        write_fitted(folder, told | ({"special": dict(self._special)} if self._special else {}))
        special = self._special or _wordpiece.SPECIAL
        _tokenizers.save(folder, self._tokenizer, length=self._length, special=special)

    def _tokens(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
