"""Tokenizers trained on texts, each the same on every run on the same texts: byte-level BPE, WordPiece, unigram.

Two trainers of `tokenizers` go through their words in the order of a hash map, which is another in every process.
Its WordPiece numbers letters in that order and breaks ties by the numbers, so here it is told all letters beforehand.
Its unigram adds probabilities up in that order; there the training is sentencepiece's, and the tokenizer made of the
vocabulary is, as the others are, the library's own: what it says are the tokens.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from modelhall.core.errors import Rejected

try:
    import sentencepiece
except ImportError:  # the extra `data`
    sentencepiece = None  # type: ignore[assignment]

END = "<|endoftext|>"
_UNKNOWN = "<unk>"
_OF_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_INSIDE = "##"
_LONGEST_TEXT = 1 << 30

Texts = Callable[[], Iterable[Sequence[str]]]
"""All texts, batch after batch; may be asked again."""


def train(sort: str, texts: Texts, size: int, *, special: Sequence[str], lowercase: bool) -> str:
    """A tokenizer of at most `size` tokens as tokenizer.json has it; its sort has special tokens beside `special`."""
    trained: str = _SORTS[sort](texts, size, special, lowercase).to_str()
    return trained


def _bpe(texts: Texts, size: int, special: Sequence[str], lowercase: bool) -> Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016), with a token for the end of a text."""
    least = 256 + 1 + len(special)
    if size < least:
        raise Rejected(
            f"every byte and the end of a text are tokens: at least {least}, not {size}", field="size"
        )
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END, *special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


def _wordpiece(texts: Texts, size: int, special: Sequence[str], lowercase: bool) -> Any:
    """WordPiece (Wu et al. 2016) with the words and special tokens of BERT; a Chinese character is a word."""
    first = [*_OF_BERT, *special]
    letters = _letters(texts, (size - len(first)) // 2, _plain_wordpiece(lowercase))
    if not letters:
        raise Rejected(f"{size} tokens leave no room for letters beside {', '.join(first)}", field="size")
    # Which letters also stand inside words is told by a training that does nothing else.
    there = _trained_wordpiece(texts, 0, [*first, *letters], lowercase)
    inside = sorted(token for token in there if token.startswith(_INSIDE) and len(token) == len(_INSIDE) + 1)
    vocabulary = _trained_wordpiece(texts, size, [*first, *letters, *inside], lowercase)
    tokenizer = _plain_wordpiece(lowercase, vocabulary)
    tokenizer.add_special_tokens(first)
    return tokenizer


def _unigram(texts: Texts, size: int, special: Sequence[str], lowercase: bool) -> Tokenizer:
    """Unigram (Kudo 2018), with a token for the end of a text and one for letters that training never saw."""
    if sentencepiece is None:
        raise Rejected(
            "unigram needs sentencepiece: pip install 'modelhall[data]', or take `model: bpe`", field="model"
        )
    last = [END, *special]
    tidy = [normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else []), normalizers.Strip(),
            normalizers.Replace(Regex(" {2,}"), " ")]  # fmt: skip
    normalizer = normalizers.Sequence(tidy)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_told(texts, normalizer), model_writer=model, model_type="unigram",
            vocab_size=size - len(last), hard_vocab_limit=False, num_threads=1, minloglevel=2,
            normalization_rule_name="identity", remove_extra_whitespaces=False,
            max_sentence_length=_LONGEST_TEXT, unk_piece=_UNKNOWN, unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1,
        )  # fmt: skip
    except RuntimeError as error:
        raise Rejected(f"no vocabulary of {size} tokens can be trained: {error}", field="size") from None
    told = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [(told.id_to_piece(place), told.get_score(place)) for place in range(told.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([_UNKNOWN, *last])
    return tokenizer


_SORTS = {"bpe": _bpe, "wordpiece": _wordpiece, "unigram": _unigram}


def _letters(texts: Texts, most: int, tokenizer: Tokenizer) -> list[str]:
    """The commonest letters, at most so many; equally common ones by their numbers."""
    counted: Counter[str] = Counter()
    for text in chain.from_iterable(texts()):
        counted.update(tokenizer.normalizer.normalize_str(text))
    common = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    return sorted(letter for letter, _ in common[: max(most, 0)] if not letter.isspace())


def _trained_wordpiece(texts: Texts, size: int, known: list[str], lowercase: bool) -> dict[str, int]:
    """The vocabulary that is trained when these are the first tokens, and the only letters."""
    tokenizer = _plain_wordpiece(lowercase)
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=known, limit_alphabet=0, show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    found: dict[str, int] = json.loads(tokenizer.to_str())["model"]["vocab"]
    return found


def _plain_wordpiece(lowercase: bool, vocabulary: dict[str, int] | None = None) -> Any:
    tokenizer = Tokenizer(models.WordPiece(vocabulary or {}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _told(texts: Texts, normalizer: Any) -> Iterator[str]:
    """The texts as the tokenizer will see them."""
    for text in chain.from_iterable(texts()):
        yield normalizer.normalize_str(text)
