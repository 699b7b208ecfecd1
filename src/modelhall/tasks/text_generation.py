"""Text generation: the tokens that follow.

A row is a text. Texts stand one after the other with a token for the end of each between them, and are cut into
sequences of one length, every token of which but the first is to be told from those before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    read_fitted,
    write_fitted,
)

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"text": "text"}
LOSSES = ("cross-entropy",)
PREDICTS = "tokens"
COMPRESSES = False
MAX_LENGTH = 256
"""Tokens a sequence has when the network sets no limit."""
MOST_NEW = 64
"""Tokens a request is continued by."""
_END = 0
_NOT_ASKED = -100
"""What stands in `labels` for padding; torch's losses pass it over."""


def fit(
    splits: Mapping[str, pl.DataFrame], columns: Mapping[str, str], *, length: int | None
) -> TextGeneration:
    """Learn the vocabulary from the training split."""
    texts = _tokenizers.texts_of("train", splits["train"][columns["text"]])
    tokenizer = _byte_pairs.train(texts)
    many = len(_joined(tokenizer, texts))
    if many < 3:
        raise Rejected("train has no text to learn from", field="columns.text")
    fitted = _Fitted(columns=dict(columns), length=min(many - 1, length or MAX_LENGTH))
    return TextGeneration(fitted, tokenizer)


def load(folder: Path) -> TextGeneration:
    """What `save` wrote."""
    return TextGeneration(read_fitted(folder, _Fitted), _tokenizers.stored(folder, _byte_pairs.PARTS))


class _Fitted(Frozen):
    """task.json."""

    columns: dict[str, str]
    length: int = Field(ge=2, le=_tokenizers.LONGEST)


class TextGeneration:
    """Fitted. An example's input is a sequence and the token after it, its truth all but its first token; a request's
    is the end of its text."""

    metrics = ("perplexity", "token_accuracy")
    inputs = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)
    outputs = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)
    ends = frozenset({_END})

    def __init__(self, fitted: _Fitted, tokenizer: Tokenizer) -> None:
        self._fitted = fitted
        self.tokenizer = tokenizer
        self.most_new = min(MOST_NEW, fitted.length // 2)
        self.columns = fitted.columns
        self.shape = Shape(
            head="causal-lm",
            sizes={"vocabulary": tokenizer.get_vocab_size(), "length": fitted.length, "pad": _END},
        )

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        """What is left behind the last whole sequence is left out, unless it is all there is."""
        tokens = _joined(self.tokenizer, _tokenizers.texts_of(split, frame[self.columns["text"]]))
        if len(tokens) < 2:
            raise Rejected(f"{split} has no text", field="columns.text")
        length = min(self._fitted.length, len(tokens) - 1)
        sequences = [tokens[start : start + length + 1] for start in range(0, len(tokens) - length, length)]
        return Examples(inputs=sequences, truth=[sequence[1:].tolist() for sequence in sequences])

    def documents(self, split: str, frame: pl.DataFrame) -> Examples:
        """Each text in sequences of its own, from the token for the end of what was before it."""
        found = self.tokenizer.encode_batch_fast(_tokenizers.texts_of(split, frame[self.columns["text"]]))
        length = self._fitted.length
        sequences = [
            np.array(text[start : start + length + 1], dtype=np.int64)
            for text in ([_END, *encoding.ids, _END] for encoding in found)
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
        room = self._fitted.length - self.most_new
        return Examples(inputs=[(encoding.ids or [_END])[-room:] for encoding in found])

    def sample(self) -> dict[str, Tensor]:
        return {"text": Tensor(name="text", datatype="BYTES", shape=(1,), data=["a"])}

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids`, `attention_mask` and `labels`, int64 (rows, longest)."""
        sequences = [examples.inputs[row] for row in rows]
        if examples.truth is None:
            return _tokenizers.padded(sequences, pad=_END)
        batch = _tokenizers.padded([sequence[:-1] for sequence in sequences], pad=_END)
        labels = _tokenizers.padded([sequence[1:] for sequence in sequences], pad=_NOT_ASKED)
        return {**batch, "labels": labels["input_ids"]}

    def packed(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids`, `labels` and what keeps sequences apart."""
        sequences = [examples.inputs[row] for row in rows]
        lengths = [len(sequence) - 1 for sequence in sequences]
        beside = _packing.places(lengths)
        return {
            "input_ids": _packing.laid([sequence[:-1] for sequence in sequences], beside, pad=_END),
            "labels": _packing.laid([sequence[1:] for sequence in sequences], beside, pad=_NOT_ASKED),
            **_packing.apart(lengths, beside, looks_back_only=True),
        }

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        wanted = batch["labels"]
        inputs = {name: part for name, part in batch.items() if name != "labels"}
        return _last_layer.loss(network, inputs, criterion, wanted=wanted, asked=wanted != _NOT_ASKED)

    def predict(self, network: Network, batch: Batch) -> Predictions:
        """Where the truth is known, the likeliest token at each place and the mean log-probability of the truth; else
        what follows, the likeliest token each time."""
        if "labels" not in batch:
            return _follow(network, batch, self.most_new)
        logits, wanted = outputs_of(network, batch).float(), batch["labels"]
        losses = functional.cross_entropy(
            logits.transpose(1, 2), wanted, ignore_index=_NOT_ASKED, reduction="none"
        )
        asked = wanted != _NOT_ASKED
        mean = losses.sum(1) / asked.sum(1)
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
        write_fitted(folder, self._fitted.model_dump(mode="json"))
        _tokenizers.save(folder, self.tokenizer, length=self._fitted.length, special={"eos": _byte_pairs.END})


def _joined(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """The tokens of all texts, int64, each text with the token for its end behind it."""
    found = tokenizer.encode_batch_fast(texts)
    return np.array([token for encoding in found for token in (*encoding.ids, _END)], dtype=np.int64)


def _follow(network: Network, batch: Batch, most: int) -> Predictions:
    """Up to `most` tokens for each row, until the end of its text."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    lengths = mask.sum(1)
    rows = torch.arange(len(ids))
    told: list[list[int]] = [[] for _ in rows]
    going = torch.ones(len(ids), dtype=torch.bool)
    total = torch.zeros(len(ids))
    for _ in range(most):
        logits = outputs_of(network, {"input_ids": ids, "attention_mask": mask})[rows, lengths - 1].float()
        best, chosen = logits.log_softmax(-1).max(-1)
        going &= chosen != _END
        if not going.any():
            break
        total += torch.where(going, best, 0.0)
        for row in rows[going].tolist():
            told[row].append(int(chosen[row]))
        ids, mask = _room_for_one(ids, mask, int(lengths.max()))
        ids[rows[going], lengths[going]] = chosen[going]
        mask[rows[going], lengths[going]] = 1
        lengths = lengths + going
    return Predictions(predicted=told, scores=total[:, None].numpy())


def _room_for_one(ids: torch.Tensor, mask: torch.Tensor, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One more column when the longest row has filled them all."""
    if longest < ids.shape[1]:
        return ids, mask
    return functional.pad(ids, (0, 1), value=_END), functional.pad(mask, (0, 1))
