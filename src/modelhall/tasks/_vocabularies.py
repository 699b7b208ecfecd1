"""What a base brings for texts: its tokenizer, which of its tokens are for what, how long a text may be, and how a
conversation is written. The vocabulary is never fitted again.

A tokenizer is a small program in JSON, and a base may come from anywhere. Only parts are let in whose work grows with
the text and no faster, and of patterns only those that are known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from modelhall.core import stored_json
from modelhall.core.errors import Rejected
from modelhall.tasks import _tokenizers

_MOST_BYTES = 64 << 20
_LONGEST_TEMPLATE = 1 << 16
_USES = ("pad", "eos", "bos", "unk", "cls", "sep", "mask")
_FILE, _CONFIG, _MAP = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
_LETTERS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_PATTERNS = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    _LETTERS % r"\p{N}{1,3}",
    _LETTERS % r"\p{N}",
}
"""Those of GPT-2, of Llama 3 and GPT-4, and of Qwen 2."""
_PARTS = {
    "model": {"BPE", "WordPiece", "Unigram", "WordLevel"},
    "normalizer": {
        "BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Prepend", "Replace",
        "Precompiled", "ByteLevel",
    },
    "pre_tokenizer": {
        "BertPreTokenizer", "ByteLevel", "Digits", "Metaspace", "Punctuation", "Split", "UnicodeScripts",
        "Whitespace", "WhitespaceSplit",
    },
    "post_processor": {"BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"},
    "decoder": {
        "BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Strip", "WordPiece",
    },
}  # fmt: skip
_WITHIN = ("normalizers", "pretokenizers", "processors", "decoders")
"""Where a Sequence has its parts."""
_LONGEST_REPLACEMENT = 8


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A tokenizer as it came."""

    tokenizer: Tokenizer
    special: Mapping[str, str]
    """Tokens that are no text, by what they are for, such as `pad`."""
    longest: int | None
    """Tokens that the base reads at most; None when it does not say."""
    template: str | None
    """How it writes a conversation, in Jinja."""

    def token(self, use: str) -> int:
        """The number of a special token; raises Rejected when there is none."""
        if use not in self.special:
            raise Rejected(f"the base has no {use} token, which this task needs", field="base")
        return _tokenizers.number_of(self.tokenizer, self.special[use])


def read(folder: Path) -> Vocabulary:
    """What the base in `folder` brings. Raises Rejected when it has no tokenizer, or one that is not read here."""
    if not (folder / _FILE).exists():
        raise Rejected(
            f"the base has no {_FILE}, and a task over texts needs it; `AutoTokenizer.from_pretrained(…)"
            ".save_pretrained(…)` of transformers writes it from other files of a tokenizer",
            field="base",
        )
    tokenizer = stored(folder)
    config, told = _told(folder, "config.json"), {**_told(folder, _MAP), **_told(folder, _CONFIG)}
    special = {use: word for use in _USES if (word := _special(use, told, config, tokenizer)) is not None}
    if "pad" not in special:
        # As is usual for models of text alone: what stands there is never looked at.
        special["pad"] = special.get("eos") or special.get("unk") or tokenizer.id_to_token(0) or ""
    limits = (told.get("model_max_length"), config.get("max_position_embeddings"), config.get("n_positions"))
    known = [limit for limit in limits if type(limit) is int and 0 < limit < 1 << 31]
    return Vocabulary(
        tokenizer=tokenizer,
        special=special,
        longest=min(known, default=None),
        template=_template(folder, told),
    )


def check(folder: Path) -> None:
    """Raise Rejected if there is a tokenizer in `folder`, and not one that is read here."""
    if (folder / _FILE).exists():
        read(folder)


def stored(folder: Path) -> Tokenizer:
    """The tokenizer in `folder`, if it is made of parts that are let in. Raises Rejected."""
    found = stored_json.read(folder / _FILE, most_bytes=_MOST_BYTES)
    for part, known in _PARTS.items():
        if found.get(part) is not None:
            _check(part, found[part], known)
    try:
        tokenizer = Tokenizer.from_str(json.dumps(found))
    except Exception as error:  # noqa: BLE001 - the only class that tokenizers raises
        raise Rejected(f"{_FILE} is no tokenizer: {error}", field="base") from None
    # A base may have been stored with either; each task says how it wants them.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _check(part: str, value: Any, known: set[str]) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "Sequence" and part != "model":
        inner: list[Any] = next((value[name] for name in _WITHIN if isinstance(value.get(name), list)), [])
        for one in inner:
            _check(part, one, known)
        return
    if kind not in known:
        # WordPiece and BPE of old files do not say what they are.
        if part == "model" and kind is None and isinstance(value, dict) and "vocab" in value:
            return
        raise Rejected(
            f"{_FILE} has a {part} of the sort {kind!r}; let in are: {', '.join(sorted(known))}", field="base"
        )
    pattern = value.get("pattern")
    if isinstance(pattern, dict) and "Regex" in pattern and pattern["Regex"] not in _PATTERNS:
        raise Rejected(
            f"{_FILE} has a pattern that is not known here, {str(pattern['Regex'])[:80]!r}; one that is written "
            "badly takes forever, so only those of well-known models are let in",
            field="base",
        )
    for name in ("content", "prepend"):
        if part == "normalizer" and len(str(value.get(name, ""))) > _LONGEST_REPLACEMENT:
            raise Rejected(f"{_FILE} has a normalizer that makes long texts of short ones", field="base")


def _special(
    use: str, told: Mapping[str, Any], config: Mapping[str, Any], tokenizer: Tokenizer
) -> str | None:
    """The token for a use, if it is one of the tokenizer's."""
    word = told.get(f"{use}_token")
    if isinstance(word, dict):
        word = word.get("content")
    if word is None:
        number: Any = config.get(f"{use}_token_id")
        number = number[0] if isinstance(number, list) and number else number
        is_one = type(number) is int and 0 <= number < tokenizer.get_vocab_size()
        word = tokenizer.id_to_token(number) if is_one else None
    return word if isinstance(word, str) and tokenizer.token_to_id(word) is not None else None


def _template(folder: Path, told: Mapping[str, Any]) -> str | None:
    """The one that is meant where several have names."""
    path = folder / "chat_template.jinja"
    found = path.read_text(encoding="utf-8") if path.exists() else told.get("chat_template")
    if isinstance(found, list):
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    if isinstance(found, str) and len(found) > _LONGEST_TEMPLATE:
        raise Rejected(f"its chat template has {len(found)} characters, as none has", field="base")
    return found if isinstance(found, str) else None


def _told(folder: Path, name: str) -> dict[str, Any]:
    return stored_json.read(folder / name) if (folder / name).exists() else {}
