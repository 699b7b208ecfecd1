"""What tasks over texts share: texts of a column, and tokenizers stored beside a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer

from modelhall.core import files, stored_json
from modelhall.core.errors import Rejected
from modelhall.tasks import Batch, Tensor

if TYPE_CHECKING:
    import polars as pl

LONGEST = 1_000_000
"""No row has more tokens."""
MOST_TOKENIZER_BYTES = 64 << 20
FIELD = "columns.text"


def texts_of(split: str, column: pl.Series, *, field: str = FIELD) -> list[str]:
    """The texts of a column; raises Rejected for one that holds something else, or has rows without."""
    if str(column.dtype) != "String":
        raise Rejected(f"{column.name} holds {column.dtype}, not text", field=field)
    if column.null_count():
        raise Rejected(
            f"{column.null_count()} rows of {split} have no text; `clean: {{drop_empty: true}}` drops them",
            field=field,
        )
    return column.to_list()


def asked(text: Tensor) -> list[str]:
    """The texts of a request; raises Rejected."""
    for row, value in enumerate(text.data):
        if not isinstance(value, str):
            raise Rejected(f"text {row} is not a string", field="inputs.text")
    return list(text.data)


def number_of(tokenizer: Tokenizer, word: str) -> int:
    """The number of one token; raises Rejected when there is none."""
    number = tokenizer.token_to_id(word)
    if number is None:
        raise Rejected(f"the tokenizer has no token {word!r}, which is to be one of its special ones")
    return number


def padded(rows: Sequence[Sequence[int] | np.ndarray], *, pad: int = 0) -> Batch:
    """`input_ids` and `attention_mask`, int64 (rows, longest)."""
    ids = np.full((len(rows), max(map(len, rows))), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def save(
    folder: Path,
    tokenizer: Tokenizer,
    *,
    length: int,
    special: Mapping[str, str],
    template: str | None = None,
) -> None:
    """Write a tokenizer as `AutoTokenizer.from_pretrained` reads it; `special` are its tokens that are no text, by
    what they are for, such as `pad`, and `template` is how it writes a conversation."""
    files.write_bytes(folder / "tokenizer.json", tokenizer.to_str().encode())
    names = {f"{use}_token": word for use, word in special.items()}
    talk = {} if template is None else {"chat_template": template}
    files.write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length, **names, **talk},
    )


def stored(folder: Path, parts: Mapping[str, str | None]) -> Tokenizer:
    """The tokenizer in `folder`, if it is of the one sort that is written there, of these `parts`: others would run
    patterns, or grow texts, of whoever made the file. Raises Rejected."""
    found = stored_json.read(folder / "tokenizer.json", most_bytes=MOST_TOKENIZER_BYTES)
    kinds = {part: found[part].get("type") if isinstance(found.get(part), dict) else None for part in parts}
    if kinds != parts:
        raise Rejected(f"tokenizer.json has the parts {kinds}, not {dict(parts)}")
    try:
        return Tokenizer.from_str(json.dumps(found))
    except Exception as error:  # noqa: BLE001 - the only class that tokenizers raises
        raise Rejected(f"tokenizer.json is no tokenizer: {error}") from None
