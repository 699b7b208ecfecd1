"""Text generation: the tokens that follow.

A row is a text; or a conversation, of which the answers are to be told; or an instruction and the response to it; or
a prompt with two answers, one of which was chosen, to learn what is preferred.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelhall.tasks import _byte_pairs, _chat, _tokenizers, _vocabularies, read_fitted
from modelhall.tasks._answers import Answers, conversations
from modelhall.tasks._generation import Fitted, Generation
from modelhall.tasks._preferences import Preferences, both

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"text": "text"}
OTHER_COLUMNS = (
    {"messages": "messages"},
    {"instruction": "instruction", "response": "response"},
    {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
)
LOSSES = ("cross-entropy", "dpo")
PREDICTS = ("tokens", "texts")
COMPRESSES = False
TAKES_BASE = True


def fit(
    splits: Mapping[str, pl.DataFrame],
    columns: Mapping[str, str],
    *,
    length: int | None,
    base: Path | None = None,
) -> Generation:
    """Learn the length of rows and, without a base, the vocabulary from the training split."""
    train = splits["train"]
    brought = None if base is None else _vocabularies.read(base)
    if brought is not None:
        brought.token("eos")
    special = {"eos": _byte_pairs.END} if brought is None else dict(brought.special)
    template = "" if "text" in columns else (brought and brought.template) or _chat.DEFAULT
    tokenizer = (
        _byte_pairs.train(list(_texts(train, columns, template, special)))
        if brought is None
        else brought.tokenizer
    )
    fitted = Fitted(
        columns=dict(columns),
        special={} if brought is None else special,
        template=template,
        reads=None if brought is None else brought.longest,
    )
    kind = _kind(columns)
    longest = kind(fitted, tokenizer).longest(train)
    return kind(fitted.model_copy(update={"length": kind.length(longest, length, fitted.reads)}), tokenizer)


def load(folder: Path) -> Generation:
    """What `save` wrote."""
    fitted = read_fitted(folder, Fitted)
    tokenizer = (
        _vocabularies.stored(folder) if fitted.special else _tokenizers.stored(folder, _byte_pairs.PARTS)
    )
    return _kind(fitted.columns)(fitted, tokenizer)


def _kind(columns: Mapping[str, str]) -> type[Generation]:
    """What rows of these parts are learnt as."""
    if "text" in columns:
        return Generation
    return Preferences if "chosen" in columns else Answers


def _texts(
    train: pl.DataFrame, columns: Mapping[str, str], template: str, special: Mapping[str, str]
) -> Iterable[str]:
    """All text there is to learn a vocabulary from, without what is no text in it."""
    if "text" in columns:
        return _tokenizers.texts_of("train", train[columns["text"]])
    talks = both(train, columns) if "chosen" in columns else conversations("train", train, columns)
    written = ("".join(turn.text for turn in _chat.turns(template, special, messages)) for messages in talks)
    return (text.replace(special["eos"], "\n") for text in written)
