"""Fill-mask: which words are missing; what BERT is pre-trained by (Devlin et al. 2019).

A row is a text. Of its tokens 15 % are to be told: most of them are hidden behind [MASK], some are replaced by
others, some stay. Training draws them anew each time; measuring takes the same ones of a text every time.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from tokenizers import Tokenizer

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
    _last_layer,
    _packing,
    _tokenizers,
    _vocabularies,
    _wordpiece,
    outputs_of,
    read_fitted,
    write_fitted,
)

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"text": "text"}
LOSSES = ("cross-entropy",)
PREDICTS = ("tokens",)
COMPRESSES = True
TAKES_BASE = True
MAX_LENGTH = 256
"""Tokens a text is cut to when the network sets no limit."""
SHARE = 0.15
HIDDEN, REPLACED = 0.8, 0.1
"""Of the tokens that are to be told; the rest stay."""


def fit(
    splits: Mapping[str, pl.DataFrame],
    columns: Mapping[str, str],
    *,
    length: int | None,
    base: Path | None = None,
) -> FillMask:
    """Learn the length of texts and, without a base, the vocabulary from the training split."""
    texts = _tokenizers.texts_of("train", splits["train"][columns["text"]])
    brought = None if base is None else _vocabularies.read(base)
    tokenizer = _wordpiece.train(texts) if brought is None else brought.tokenizer
    if brought is not None:
        brought.token("mask")
    longest = max(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts))
    fitted = _Fitted(
        columns=dict(columns),
        length=min(longest, length or MAX_LENGTH, (brought and brought.longest) or MAX_LENGTH),
        special={} if brought is None else dict(brought.special),
    )
    return FillMask(fitted, tokenizer)


def load(folder: Path) -> FillMask:
    """What `save` wrote."""
    fitted = read_fitted(folder, _Fitted)
    tokenizer = (
        _vocabularies.stored(folder) if fitted.special else _tokenizers.stored(folder, _wordpiece.PARTS)
    )
    return FillMask(fitted, tokenizer)


class _Fitted(Frozen):
    """task.json."""

    columns: dict[str, str]
    length: int = Field(ge=3, le=_tokenizers.LONGEST)
    special: dict[str, str] = Field(default_factory=dict)
    """Those of a base's tokens that are no text, by their use; none when the vocabulary was fitted."""


class FillMask:
    """Fitted. An example's input is its token numbers, with [CLS] before and [SEP] behind; its truth, the tokens that
    are asked for when it is measured."""

    metrics = ("perplexity", "token_accuracy")
    inputs = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)
    outputs = (
        Tensor(name="text", datatype="BYTES", shape=(-1,)),
        Tensor(name="score", datatype="FP32", shape=(-1,)),
    )

    def __init__(self, fitted: _Fitted, tokenizer: Tokenizer) -> None:
        self._fitted = fitted
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(fitted.length)
        self._special = fitted.special or _wordpiece.SPECIAL
        numbers = {use: _tokenizers.number_of(tokenizer, word) for use, word in self._special.items()}
        self._mask = numbers["mask"]
        self._not_text = sorted(set(numbers.values()))
        # A vocabulary that is fitted here begins with these; of a base's, any token may come in for another.
        self._first = 0 if fitted.special else len(self._not_text)
        self.columns = fitted.columns
        self.shape = Shape(
            head="masked-lm",
            sizes={"vocabulary": tokenizer.get_vocab_size(), "length": fitted.length, "pad": numbers["pad"]},
        )

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        texts = _tokenizers.texts_of(split, frame[self.columns["text"]])
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        truth = [[row[place] for place in self._asked(row)] for row in tokens]
        if not any(truth):
            raise Rejected(f"{split} has no text", field="columns.text")
        return Examples(inputs=tokens, truth=truth, lengths=[len(row) for row in tokens])

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """Texts with [MASK] in them, or what the base calls it."""
        tokens, word = [], self._special["mask"]
        for row, text in enumerate(_tokenizers.asked(inputs["text"])):
            found = self._tokenizer.encode(text).ids
            if self._mask not in found:
                where = f" within its first {self._fitted.length} tokens" if word in text else ""
                raise Rejected(f"text {row} has no {word}{where}", field="inputs.text")
            tokens.append(found)
        return Examples(inputs=tokens, lengths=[len(row) for row in tokens])

    def sample(self) -> dict[str, Tensor]:
        return {
            "text": Tensor(name="text", datatype="BYTES", shape=(1,), data=[f"a {self._special['mask']}"])
        }

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids` and `attention_mask`, int64 (rows, longest); `labels`, which tokens measuring asks for."""
        tokens = [examples.inputs[row] for row in rows]
        batch = _tokenizers.padded(tokens, pad=self.shape.sizes["pad"])
        if examples.truth is not None:
            asked = torch.zeros_like(batch["input_ids"])
            for place, row in enumerate(tokens):
                asked[place, self._asked(row)] = 1
            batch["labels"] = asked
        return batch

    def documents(self, split: str, frame: pl.DataFrame) -> Examples:
        """Every row is a text alone."""
        return self.examples(split, frame)

    def packed(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids` and what keeps texts apart."""
        tokens = [examples.inputs[row] for row in rows]
        lengths = [len(row) for row in tokens]
        beside = _packing.places(lengths)
        apart = _packing.apart(lengths, beside, looks_back_only=False)
        return {"input_ids": _packing.laid(tokens, beside, pad=self.shape.sizes["pad"]), **apart}

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        """Of tokens that are drawn anew."""
        tokens = batch["input_ids"]
        ordinary = ~torch.isin(tokens, torch.tensor(self._not_text))
        asked = ordinary & (torch.rand(tokens.shape) < SHARE)
        if not asked.any():
            asked = ordinary
        way = torch.rand(tokens.shape)
        others = torch.randint(self._first, self.shape.sizes["vocabulary"], tokens.shape)
        seen = torch.where(asked & (way < HIDDEN), self._mask, tokens)
        seen = torch.where(asked & (way >= HIDDEN) & (way < HIDDEN + REPLACED), others, seen)
        inputs = {name: part for name, part in batch.items() if name != "labels"} | {"input_ids": seen}
        return _last_layer.loss(network, inputs, criterion, wanted=tokens, asked=asked)

    def predict(self, network: Network, batch: Batch) -> Predictions:
        """The likeliest token at each [MASK], and the mean log-probability: of the truth where it is known, else of
        what is told."""
        tokens = batch["input_ids"]
        asked = batch["labels"].bool() if "labels" in batch else tokens == self._mask
        seen = torch.where(asked, self._mask, tokens)
        told = outputs_of(network, {"input_ids": seen, "attention_mask": batch["attention_mask"]})
        chances = told[asked].float().log_softmax(-1)
        chosen = chances.argmax(-1)
        wanted = tokens[asked] if "labels" in batch else chosen
        counts = asked.sum(1).tolist()
        likely = chances.gather(1, wanted[:, None])[:, 0].split_with_sizes(counts)
        mean = torch.stack([row.mean() if len(row) else torch.zeros(()) for row in likely])
        return Predictions(
            predicted=[row.tolist() for row in chosen.split_with_sizes(counts)],
            scores=mean[:, None].numpy(),
            losses=-mean.numpy() if "labels" in batch else None,
            told=asked.sum(1).numpy(),
        )

    def answer(self, predictions: Predictions) -> list[Tensor]:
        """The words for the masks of each text, and their mean probability."""
        texts = self._tokenizer.decode_batch([list(tokens) for tokens in predictions.predicted])
        chances = np.minimum(np.exp(predictions.scores[:, 0]), 1.0).tolist()
        rows = (len(texts),)
        return [
            Tensor(name="text", datatype="BYTES", shape=rows, data=texts),
            Tensor(name="score", datatype="FP32", shape=rows, data=chances),
        ]

    def save(self, folder: Path) -> None:
        """Beside the task's own file, the tokenizer as `AutoTokenizer.from_pretrained` reads it."""
        write_fitted(folder, self._fitted.model_dump(mode="json", exclude_defaults=True))
        _tokenizers.save(folder, self._tokenizer, length=self._fitted.length, special=self._special)

    def _asked(self, tokens: Sequence[int]) -> list[int]:
        """The places of the tokens that are asked for when a text is measured, one at least where it has any."""
        ordinary = [place for place, token in enumerate(tokens) if token not in self._not_text]
        seed = zlib.crc32(repr(list(tokens)).encode())
        order = torch.randperm(len(ordinary), generator=torch.Generator().manual_seed(seed)).tolist()
        return sorted(ordinary[place] for place in order[: max(1, round(SHARE * len(ordinary)))])
