"""What the steps on text do to texts, and what they leave alone."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Marks, deduplicate, pack, redact, stopwords, tokenize
from modelhall.stages.prepare.steps import filter as filter_step
from modelhall.stages.prepare.steps._words import words

ENGLISH = (
    "The house that we have seen is old, and with it come the stories of those who were to live in it. "
    "People say that one of them was a sailor, who went to the north and did not come back for ten years. "
    "When he did, the garden was wild and the roof had fallen in, but the fire was lit and there was soup."
)


def texts(*values: str | None) -> pl.DataFrame:
    return pl.DataFrame({"text": values}, schema={"text": pl.String})


def left(frame: pl.DataFrame, **options: Any) -> list[str]:
    """The texts that a filter keeps."""
    done = filter_step.apply(frame, **options)
    dropped = pl.DataFrame(done.drop).select(pl.any_horizontal(pl.all().fill_null(False))).to_series()
    return frame.filter(~dropped)["text"].to_list()


def dropped(frame: pl.DataFrame, shards: int = 2, **options: Any) -> dict[str, list[int]]:
    """The rows that are dropped as duplicates, by the reason, when they lie in several shards."""
    named = {name: value for name, value in options.items() if name != "near"} | {"near": options.get("near")}
    size = -(-frame.height // shards)
    marks = [deduplicate.mark(rows, **named).lazy() for rows in frame.iter_slices(size)]
    verdict = deduplicate.decide(Marks(("all", part) for part in marks), near=options.get("near"))
    return {reason: np.flatnonzero(told).tolist() for reason, told in verdict.drop.items()}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Hello, world-wide web!", 4),
        ("", 0),
        (None, 0),
        ("这家酒店很好。", 6),
        ("abc好def", 3),
        ("naïve “quoted” café…", 3),
        ("a\nb\u3000c", 3),
    ],
)
def test_words_are_runs_of_letters_and_single_chinese_characters(text: str | None, count: int) -> None:
    (found,) = words(pl.Series([text], dtype=pl.String))
    assert found.counts.tolist() == [count]


def test_equal_words_have_equal_numbers_wherever_they_stand() -> None:
    found = list(words(pl.Series(["The cat, and THE Cat; incomprehensibilities"] * 30_000)))
    assert len(found) > 1
    for chunk in found:
        hashes = chunk.hashes().reshape(-1, 6)
        assert (hashes == found[0].hashes()[:6]).all()
        assert len(set(hashes[0].tolist())) == 4


def test_of_equal_rows_the_first_is_kept() -> None:
    frame = texts("a", "b", "a", "c", "b", "a")
    assert dropped(frame) == {"duplicate": [2, 4, 5]}


def test_texts_that_differ_in_a_word_are_near_duplicates_and_others_are_not() -> None:
    other = ENGLISH.replace("sailor", "soldier")
    unlike = " ".join(reversed(ENGLISH.split()))
    frame = texts(ENGLISH, unlike, other, ENGLISH, "short", "short one")
    assert dropped(frame, near=0.7) == {"duplicate": [3], "near duplicate": [2]}


def test_what_is_like_a_near_duplicate_goes_with_it() -> None:
    second = ENGLISH.replace("sailor", "soldier")
    third = second.replace("garden", "meadow")
    assert dropped(texts(ENGLISH, second, third), near=0.7)["near duplicate"] == [1, 2]


def test_near_duplicates_without_any_text_are_refused() -> None:
    with pytest.raises(Rejected, match="no text"):
        deduplicate.mark(pl.DataFrame({"a": [1]}), near=0.8)


def test_duplicates_are_the_same_in_any_number_of_shards() -> None:
    random = np.random.default_rng(3)
    many = [" ".join(random.choice(["red", "green", "blue", "grey"], 12)) for _ in range(400)]
    frame = texts(*many, *many[:50])
    assert dropped(frame, 1, near=0.6) == dropped(frame, 7, near=0.6)


def test_texts_are_kept_by_length_language_and_repetition() -> None:
    frame = texts(ENGLISH, "Too short", "这家酒店的服务员态度很好房间也很干净", "spam " * 40, None)
    assert left(frame, min_words=10) == [ENGLISH, frame["text"][2], frame["text"][3]]
    assert left(frame, language="zh") == [frame["text"][2]]
    assert left(frame, language="en", min_words=10) == [ENGLISH]
    assert left(frame, max_repeated=0.3) == [text for text in frame["text"] if text and "spam" not in text]
    assert left(frame, max_chars=50, without="short") == [frame["text"][2]]


def test_gophers_rules_keep_prose_and_drop_what_is_none() -> None:
    bullets = "\n".join(f"- the {number} thing to have" for number in range(20))
    numbers = " ".join(str(number) for number in range(100)) + " the of and to"
    frame = texts(ENGLISH, bullets, numbers, ENGLISH.replace(" ", " # "), ENGLISH[:100])
    assert left(frame, rules="gopher") == [ENGLISH]


def test_what_identifies_people_is_put_out_of_sight() -> None:
    frame = texts(
        "Mail anna.b+c@mail.example.org or +49 30 1234567",
        "电话 13812345678，身份证 11010519491231002X",
        "key AKIAIOSFODNN7EXAMPLE, card 4111 1111 1111 1111, host 10.0.0.1",
        "In 2024, 1234 people paid 99.50",
    )
    assert redact.apply(frame).rows["text"].to_list() == [
        "Mail [email] or [phone]",
        "电话 [phone]，身份证 [id]",
        "key [key], card [card], host [address]",
        "In 2024, 1234 people paid 99.50",
    ]


def test_stop_words_go_where_they_stand_alone() -> None:
    done = stopwords.apply(texts("The cat and the hat of Theo", "我们的酒店"), language="en")
    assert done.rows["text"].to_list() == ["cat hat Theo", "我们的酒店"]
    assert stopwords.apply(texts("我们的酒店"), language="zh").rows["text"].to_list() == ["酒店"]


def trained(size: int = 400) -> dict[str, Any]:
    return tokenize.fit(Marks([("train", texts(ENGLISH, "这家酒店很好").lazy())]), size=size)


def test_tokens_are_those_of_the_tokenizers_own_library() -> None:
    fitted = trained()
    frame = texts(ENGLISH, "", None, "Fire & soup 好", *(ENGLISH[start : start + 40] for start in range(60)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = tokenize.apply(frame, fitted).rows["tokens"].to_list()
    library = Tokenizer.from_str(fitted["tokenizer"])
    assert told == [library.encode(text or "", add_special_tokens=False).ids for text in frame["text"]]


def test_the_same_texts_train_the_same_tokenizer() -> None:
    assert trained() == trained()


def test_without_the_fast_kernel_the_tokens_are_the_same_and_a_warning_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = trained(size=350)
    fast = tokenize.apply(texts(ENGLISH), fitted).rows
    tokenize._encoder.cache_clear()
    monkeypatch.setattr(tokenize, "load_hf_json", None)
    with pytest.warns(UserWarning, match="gigatoken is not installed"):
        slow = tokenize.apply(texts(ENGLISH), fitted).rows
    tokenize._encoder.cache_clear()
    assert slow.equals(fast)


def test_a_tokenizer_that_is_given_is_taken_by_its_digest(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([ENGLISH], trainers.BpeTrainer(vocab_size=300, show_progress=False))
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    fitted = tokenize.fit(Marks([]), file=str(file), digest=digest)
    assert fitted["tokenizer"] == file.read_text()
    with pytest.raises(Rejected, match=f"has the digest {digest}"):
        tokenize.fit(Marks([]), file=str(file), digest="0" * 64)


def test_packed_sequences_hold_every_token_once_and_tell_where_texts_end() -> None:
    frame = pl.DataFrame(
        {"tokens": [[1, 2, 3], [], [4, 5, 6, 7, 8], [9]]}, schema={"tokens": pl.List(pl.UInt32)}
    )
    packed = pack.apply(frame, length=4, end=0, pad=77).rows
    assert packed["tokens"].to_list() == [[1, 2, 3, 0], [0, 4, 5, 6], [7, 8, 0, 9], [0, 77, 77, 77]]
    assert packed["documents"].to_list() == [[4], [1, 3], [3, 1], [1]]
    without = pack.apply(frame, length=4).rows
    assert without["tokens"].to_list() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert without["documents"].to_list() == [[3, 1], [4]]
