"""Tokenizers of every sort, trained on the training split: the same every time, and told apart by nothing else."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
from typing import Any

import polars as pl
import pytest
from tokenizers import Tokenizer

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Marks, tokenize

SORTS = ("bpe", "wordpiece", "unigram")
# Letters that are equally common, and words that come equally often: where trainers draw lots.
TEXTS = [
    f"{a}{b} {b}{a}s the {a}walk{b}ing  and\n{b}talk{a}ed, 这家酒店{word}很好。"
    for a in "abcdefghijklmnop"
    for b, word in zip("qrstuvwxyzäöüßéñ", "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳", strict=True)
]
OTHERS = ["", None, "Never seen: Ω≈ç√", "  two  spaces ", "walking and talking", "这家酒店很好"]


def fitted(sort: str, size: int = 400, **options: Any) -> dict[str, Any]:
    frame = pl.DataFrame({"text": TEXTS})
    return tokenize.fit(Marks([("train", frame.lazy())]), model=sort, size=size, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("sort", SORTS)
def test_the_same_texts_train_the_same_bytes_in_this_process_and_in_any_other(sort: str) -> None:
    program = (
        "import hashlib, sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_trained_tokenizers import fitted\n"
        "print(hashlib.sha256(fitted(sys.argv[1])['tokenizer'].encode()).hexdigest())"
    )
    here = __file__.rpartition("/")[0]
    made = {hashlib.sha256(fitted(sort)["tokenizer"].encode()).hexdigest() for _ in range(4)}
    for _ in range(2):
        command = [sys.executable, "-c", program, sort, here]
        made.add(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    assert len(made) == 1


@pytest.mark.parametrize("sort", SORTS)
def test_its_tokens_are_those_of_the_library(sort: str) -> None:
    frame = pl.DataFrame({"text": [*TEXTS[:50], *OTHERS]})
    made = fitted(sort)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fast kernel says which sorts it does not take
        told = tokenize.apply(frame, made).rows["tokens"].to_list()
    library = Tokenizer.from_str(made["tokenizer"])
    assert told == [library.encode(text or "", add_special_tokens=False).ids for text in frame["text"]]


@pytest.mark.parametrize(("sort", "size"), [("bpe", 380), ("wordpiece", 380), ("unigram", 150)])
def test_it_has_the_size_and_the_special_tokens_asked_for(sort: str, size: int) -> None:
    library = Tokenizer.from_str(fitted(sort, size=size, special=["<|user|>", "<|hall|>"])["tokenizer"])
    assert library.get_vocab_size() == size
    assert sorted(library.get_vocab().values()) == list(range(size))
    (number,) = library.encode("<|user|>", add_special_tokens=False).ids
    assert library.id_to_token(number) == "<|user|>"
    assert number in library.get_added_tokens_decoder()


@pytest.mark.parametrize("sort", SORTS)
def test_a_text_can_be_read_back_from_its_tokens(sort: str) -> None:
    library = Tokenizer.from_str(fitted(sort)["tokenizer"])
    text = "the walking and talked"
    assert library.decode(library.encode(text, add_special_tokens=False).ids) == text


@pytest.mark.parametrize("sort", SORTS)
def test_case_may_be_made_no_difference_of(sort: str) -> None:
    library = Tokenizer.from_str(fitted(sort, lowercase=True)["tokenizer"])
    assert library.encode("The Walk").ids == library.encode("the walk").ids
    assert "[UNK]" not in library.encode("The Walk").tokens


def test_merged_pieces_are_learnt_and_not_letters_alone() -> None:
    for sort in SORTS:
        assert "walk" in json.dumps(json.loads(fitted(sort)["tokenizer"])["model"]["vocab"])


@pytest.mark.parametrize(
    ("sort", "says"),
    [
        ("bpe", "at least 257, not 9"),
        ("wordpiece", "letters|no room"),
        ("unigram", "no vocabulary of 9 tokens"),
    ],
)
def test_a_vocabulary_too_small_is_refused(sort: str, says: str) -> None:
    with pytest.raises(Rejected, match=says) as raised:
        fitted(sort, size=9 if sort != "wordpiece" else 5)
    assert raised.value.field == "size"


def test_without_sentencepiece_unigram_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelhall.stages.prepare.steps._vocabularies.sentencepiece", None)
    with pytest.raises(Rejected, match=r"modelhall\[data\]"):
        fitted("unigram")
