"""Next sentence: whether one text follows another; what BERT is pre-trained by besides missing words (Devlin et al.
2019).

A row is a text and the one that follows it. Half of the rows, the same ones each time, are read with the second text
of some other row of their split in place of their own, and are to be told from those that were left alone. Texts are
parted by [SEP] alone: no network needs to know of two sorts of tokens.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, processors

from modelhall.core.errors import Rejected
from modelhall.tasks import Examples, Tensor, _tokenizers, _vocabularies, _wordpiece
from modelhall.tasks.text_classification import MAX_LENGTH, TextClassification, read_parts

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"text": "text", "next": "next"}
LOSSES = ("cross-entropy",)
PREDICTS = ("classes",)
COMPRESSES = True
TAKES_BASE = True
LABELS = ("other", "next")


def fit(
    splits: Mapping[str, pl.DataFrame],
    columns: Mapping[str, str],
    *,
    length: int | None,
    base: Path | None = None,
) -> NextSentence:
    """Learn the length of pairs and, without a base, the vocabulary from the training split."""
    first, second = _pairs("train", splits["train"], columns)
    brought = None if base is None else _vocabularies.read(base)
    tokenizer = _wordpiece.train([*first, *second]) if brought is None else brought.tokenizer
    special = {} if brought is None else dict(brought.special)
    _part(tokenizer, special or _wordpiece.SPECIAL)
    pairs = list(zip(first, second, strict=True))
    longest = max(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(pairs))
    return NextSentence(
        columns=columns,
        labels=LABELS,
        length=min(longest, length or MAX_LENGTH, (brought and brought.longest) or MAX_LENGTH),
        special=special,
        tokenizer=tokenizer,
    )


def load(folder: Path) -> NextSentence:
    """What `save` wrote."""
    return NextSentence(**read_parts(folder))


class NextSentence(TextClassification):
    """Fitted. An example's input is the token numbers of both texts, with [CLS] before and [SEP] behind each."""

    inputs = (
        Tensor(name="text", datatype="BYTES", shape=(-1,)),
        Tensor(name="next", datatype="BYTES", shape=(-1,)),
    )

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        first, second = _pairs(split, frame, self.columns)
        others = _others(split, first, second)
        told = [second[row if other is None else other] for row, other in enumerate(others)]
        tokens = self._tokens(list(zip(first, told, strict=True)))
        truth = [LABELS.index("next" if other is None else "other") for other in others]
        return Examples(inputs=tokens, truth=truth, lengths=[len(row) for row in tokens])

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """Pairs as they are."""
        first, second = (_tokenizers.asked(inputs[tensor.name]) for tensor in self.inputs)
        if len(first) != len(second):
            raise Rejected(f"{len(first)} texts, and {len(second)} to follow them", field="inputs.next")
        tokens = self._tokens(list(zip(first, second, strict=True)))
        return Examples(inputs=tokens, lengths=[len(row) for row in tokens])

    def sample(self) -> dict[str, Tensor]:
        return {
            tensor.name: Tensor(name=tensor.name, datatype="BYTES", shape=(1,), data=["a"])
            for tensor in self.inputs
        }


def _pairs(split: str, frame: pl.DataFrame, columns: Mapping[str, str]) -> tuple[list[str], list[str]]:
    first, second = (
        _tokenizers.texts_of(split, frame[columns[part]], field=f"columns.{part}") for part in COLUMNS
    )
    return first, second


def _others(split: str, first: Sequence[str], second: Sequence[str]) -> list[int | None]:
    """For each row the one whose second text it is read with; None for its own. Drawn from what the rows hold, so
    that it is the same whenever they are read."""
    if len(set(second)) < 2:
        raise Rejected(
            f"all rows of {split} go on alike: no other text could be told from the next",
            field="columns.next",
        )
    digest = 0
    for text in (*first, *second):
        digest = zlib.crc32(text.encode(), digest)
    random = np.random.default_rng(digest)
    found: list[int | None] = []
    for row in range(len(first)):
        other = None
        if random.random() < 0.5:
            other = int(random.integers(len(second)))
            while second[other] == second[row]:
                other = int(random.integers(len(second)))
        found.append(other)
    return found


def _part(tokenizer: Tokenizer, special: Mapping[str, str]) -> None:
    """Have a tokenizer write pairs with [CLS] before and [SEP] behind each text."""
    for use in ("cls", "sep"):
        if use not in special:
            raise Rejected(f"the base has no {use} token, which this task needs", field="base")
    cls, sep = special["cls"], special["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B {sep}",
        special_tokens=[(word, _tokenizers.number_of(tokenizer, word)) for word in (cls, sep)],
    )
