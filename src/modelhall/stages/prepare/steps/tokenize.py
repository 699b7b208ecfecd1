"""Texts as numbers of tokens, by a tokenizer trained on the training split, or by one that is given.

- tokenize: {column: text, size: 300}
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, File, Marks, _vocabularies, text_columns
from modelhall.stages.prepare.steps._lists import lists

try:
    from gigatoken.gigatoken_rs import load_hf_json
except ImportError:  # the extra `data`
    load_hf_json = None  # type: ignore[assignment]

_ANEW_TOKENS = 100_000_000
_TRIED = (
    "", " ", "a", "Hello, world! It's 12:30.", "  two  spaces\n\nlines\t", "naïve café ﬁ №",
    "这家酒店很好。", "👩‍👩‍👧 ok",
    "x" * 300, f"a{_vocabularies.END}b", "don't 1234567 ---- ....", "\u3000\u200b\r\n", "ÀÉÎ õ ß İ", "'s 'S ’s",
)  # fmt: skip
"""Texts on which the fast kernel must agree before it is used."""


def mark(rows: pl.DataFrame, *, column: str = "text") -> pl.DataFrame:
    """What is learnt from."""
    text_columns(rows, [column], "column")
    return rows.select(column)


def fit(
    train: Marks,
    *,
    column: str = "text",
    model: Literal["bpe", "wordpiece", "unigram"] = "bpe",
    size: int = 8000,
    special: list[str] | None = None,
    lowercase: bool = False,
    file: File | None = None,
    digest: str | None = None,
) -> dict[str, Any]:
    """The tokenizer, as tokenizer.json has it.

    With `file`, it is one that is there: a tokenizer.json of any model `tokenizers` knows, by a path or URL as a data
    set's own source; with `digest`, no file with another SHA-256 is taken. Else one of at most `size` tokens is
    trained: byte-level `bpe`, which knows every text, `wordpiece` with the words and special tokens of BERT, or
    `unigram`. `special` are further special tokens; `lowercase` makes no difference of case.
    """
    if file is not None:
        return {"tokenizer": _given(Path(file), digest)}
    return {
        "tokenizer": _vocabularies.train(
            model, lambda: _texts(train, column), size, special=special or (), lowercase=lowercase
        )
    }


def apply(
    rows: pl.DataFrame,
    fitted: dict[str, Any],
    *,
    column: str = "text",
    into: str = "tokens",
    keep: bool = False,
) -> Done:
    """Add `into`, a list of token numbers a row, without special tokens around it; the text goes unless `keep`. A
    text that is null has no tokens."""
    text_columns(rows, [column], "column")
    texts = rows[column].fill_null("").to_list()
    encoder = _encoder(fitted["tokenizer"])
    numbers, counts = encoder.encode(texts)
    told = rows.with_columns(lists(into, numbers, counts))
    return Done(rows=told if keep or into == column else told.drop(column))


class Slow:
    """The library that defines what the tokens are."""

    def __init__(self, written: str) -> None:
        self._tokenizer = Tokenizer.from_str(written)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of all texts, uint32, and how many each has."""
        found = [
            encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ]
        counts = np.array([len(tokens) for tokens in found], np.int64)
        return np.array([token for tokens in found for token in tokens], np.uint32), counts


class Fast:
    """gigatoken: the same tokens a hundred times as fast. It remembers every word it has met, so it begins anew from
    time to time."""

    def __init__(self, written: str) -> None:
        self._written = written
        self._tokenizer = load_hf_json(written)
        self._tokens = 0

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """The same as the slow one."""
        if self._tokens > _ANEW_TOKENS:
            self._tokenizer, self._tokens = load_hf_json(self._written), 0
        layout = self._tokenizer.encode_batch(texts, parallel=False).layout
        offsets = np.asarray(layout.offsets.data)
        self._tokens += int(offsets[-1] - offsets[0])
        return np.asarray(layout.content.data)[offsets[0] : offsets[-1]], np.diff(offsets)


@lru_cache(maxsize=2)
def _encoder(written: str) -> Slow | Fast:
    """The fast kernel where it is installed and agrees with the slow one."""
    slow = Slow(written)
    if load_hf_json is None:
        warnings.warn(
            "gigatoken is not installed: texts are tokenized a hundred times slower; `pip install 'modelhall[data]'` "
            "brings it",
            stacklevel=2,
        )
        return slow
    try:
        fast = Fast(written)
        agree = all(map(np.array_equal, fast.encode(list(_TRIED)), slow.encode(list(_TRIED))))
    except Exception as error:  # noqa: BLE001 - it says no to a tokenizer in many ways
        warnings.warn(f"gigatoken does not take this tokenizer, the slow library does: {error}", stacklevel=2)
        return slow
    if not agree:
        warnings.warn(
            "gigatoken tells other tokens than the tokenizer's own library, which is used", stacklevel=2
        )
    return fast if agree else slow


def _texts(train: Iterable[pl.DataFrame], column: str) -> Iterator[list[str]]:
    for rows in train:
        yield rows[column].drop_nulls().to_list()


def _given(path: Path, digest: str | None) -> str:
    """What is in the file of a tokenizer."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}", field="file") from None
    found = hashlib.sha256(content).hexdigest()
    if digest is not None and found != digest:
        raise Rejected(f"{path} has the digest {found}, not {digest}", field="digest")
    try:
        Tokenizer.from_str(content.decode())
    except Exception as error:  # noqa: BLE001 - the library raises Exception itself
        raise Rejected(f"{path} is no tokenizer.json: {error}", field="file") from None
    return content.decode()
