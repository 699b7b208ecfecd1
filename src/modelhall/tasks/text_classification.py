"""Text classification: which of the classes a text belongs to.

A row is a text and its label. Texts become WordPiece tokens (Wu et al. 2016) from a vocabulary trained on the
training split, in lower case and without accents as BERT has it; a Chinese character is a word of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from modelhall.core import files, stored_json
from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.shape import Shape
from modelhall.tasks import Batch, Examples, Tensor, read_fitted, write_fitted
from modelhall.tasks._classes import MAX_LABELS, Classes, labels_of

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"text": "text", "label": "label"}
VOCABULARY = 8000
MAX_LENGTH = 256
"""Tokens a text is cut to when the network sets no limit."""
LONGEST = 1_000_000
MOST_TOKENIZER_BYTES = 64 << 20
_PARTS = {
    "model": "WordPiece", "normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer",
    "post_processor": "TemplateProcessing", "decoder": "WordPiece",
}  # fmt: skip
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def fit(
    splits: Mapping[str, pl.DataFrame], columns: Mapping[str, str], *, length: int | None
) -> TextClassification:
    """Learn labels, vocabulary and the length of texts from the training split."""
    train = splits["train"]
    texts = _texts("train", train[columns["text"]])
    tokenizer = _train_tokenizer(texts)
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)]
    task = TextClassification(
        columns=columns,
        labels=labels_of(train[columns["label"]]),
        length=min(max(lengths), length or MAX_LENGTH),
        tokenizer=tokenizer,
    )
    task.check(splits, columns["label"])
    return task


def load(folder: Path) -> TextClassification:
    """What `save` wrote."""
    return TextClassification(**dict(read_fitted(folder, _Fitted)), tokenizer=_stored_tokenizer(folder))


class _Fitted(Frozen):
    """task.json."""

    columns: dict[str, str]
    labels: tuple[str, ...] = Field(min_length=2, max_length=MAX_LABELS)
    length: int = Field(ge=2, le=LONGEST)


def _stored_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in `folder`, if it is of the one sort that is written here: others would run patterns, or grow
    texts, of whoever made the file."""
    stored = stored_json.read(folder / "tokenizer.json", most_bytes=MOST_TOKENIZER_BYTES)
    kinds = {
        part: stored[part].get("type") if isinstance(stored.get(part), dict) else None for part in _PARTS
    }
    if kinds != _PARTS:
        raise Rejected(f"tokenizer.json has the parts {kinds}, not {_PARTS}")
    try:
        return Tokenizer.from_str(json.dumps(stored))
    except Exception as error:  # noqa: BLE001 - the only class that tokenizers raises
        raise Rejected(f"tokenizer.json is no tokenizer: {error}") from None


class TextClassification(Classes):
    """Fitted. An example's input is its token numbers, with [CLS] before and [SEP] behind."""

    inputs = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)

    def __init__(
        self, *, columns: Mapping[str, str], labels: Sequence[str], length: int, tokenizer: Tokenizer
    ) -> None:
        super().__init__(labels)
        self._columns = columns
        self._length = length
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(length)
        self.shape = Shape(
            head="sequence-classification",
            sizes={"vocabulary": tokenizer.get_vocab_size(), "length": length, "pad": 0},
            labels=self.labels,
        )

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        tokens = self._tokens(_texts(split, frame[self._columns["text"]]))
        truth = self.truth(split, frame[self._columns["label"]])
        return Examples(inputs=tokens, truth=truth, lengths=[len(row) for row in tokens])

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """Texts as they are."""
        for row, text in enumerate(inputs["text"].data):
            if not isinstance(text, str):
                raise Rejected(f"text {row} is not a string", field="inputs.text")
        tokens = self._tokens(inputs["text"].data)
        return Examples(inputs=tokens, lengths=[len(row) for row in tokens])

    def sample(self) -> dict[str, Tensor]:
        return {"text": Tensor(name="text", datatype="BYTES", shape=(1,), data=["a"])}

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`input_ids` and `attention_mask`, int64 (rows, longest)."""
        tokens = [examples.inputs[row] for row in rows]
        ids = np.zeros((len(rows), max(map(len, tokens))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(tokens):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if examples.truth is not None:
            batch["labels"] = torch.tensor([examples.truth[row] for row in rows])
        return batch

    def save(self, folder: Path) -> None:
        """Beside the task's own file, the tokenizer as `AutoTokenizer.from_pretrained` reads it."""
        write_fitted(
            folder, {"columns": dict(self._columns), "labels": list(self.labels), "length": self._length}
        )
        files.write_bytes(folder / "tokenizer.json", self._tokenizer.to_str().encode())
        names = {f"{word[1:-1].lower()}_token": word for word in _SPECIAL}
        files.write_json(
            folder / "tokenizer_config.json",
            {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": self._length, **names},
        )

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]


def _texts(split: str, column: pl.Series) -> list[str]:
    if str(column.dtype) != "String":
        raise Rejected(f"{column.name} holds {column.dtype}, not text", field="columns.text")
    if column.null_count():
        raise Rejected(
            f"{column.null_count()} rows of {split} have no text; `clean: {{drop_empty: true}}` drops them",
            field="columns.text",
        )
    return column.to_list()


def _train_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """WordPiece as BERT has it. The same texts give the same vocabulary, number by number."""
    tokenizer = _tokenizer(models.WordPiece(unk_token="[UNK]"))
    # Left to itself the trainer numbers characters, and breaks ties between rare ones, by chance. So they are
    # chosen here, and those within words come to it as special tokens, in order.
    alphabet, within = _alphabet(tokenizer, texts)
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=[*_SPECIAL, *within],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    trained = _tokenizer(models.WordPiece(tokenizer.get_vocab(), unk_token="[UNK]"))
    trained.add_special_tokens(_SPECIAL)
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(word, trained.token_to_id(word)) for word in ("[CLS]", "[SEP]")],
    )
    return trained


def _tokenizer(model: models.WordPiece) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, handle_chinese_chars=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _alphabet(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The commonest characters, half the vocabulary at most, each seen at least twice; and those of them that
    stand within words, as WordPiece writes them."""
    normal = (tokenizer.normalizer.normalize_str(text) for text in texts)
    words = Counter(word for text in normal for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    counts: Counter[str] = Counter()
    for word, times in words.items():
        counts.update(dict.fromkeys(word, times))
    common = sorted(counts, key=lambda character: (-counts[character], character))[: VOCABULARY // 2]
    alphabet = sorted(character for character in common if counts[character] > 1)
    within = sorted({character for word in words for character in word[1:]}.intersection(alphabet))
    return alphabet, [f"##{character}" for character in within]
