"""Pieces of text as they are told: whole characters, and nothing of a stop sequence."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer

from modelhall.serving.generation.text import Text
from modelhall.tasks import _byte_pairs

SAMPLE = "smile 😀, 你好世界, naïve café — ÿ 𝄞 and more"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return _byte_pairs.train(["plain words only, so that all else is bytes " * 30])


def test_pieces_are_whole_characters_and_make_the_text(tokenizer: Tokenizer) -> None:
    text = Text(tokenizer)
    pieces = [text.feed(id) for id in tokenizer.encode(SAMPLE).ids]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + text.finish() == SAMPLE


def test_whatever_tokens_come_pieces_make_what_the_tokenizer_makes_of_them(tokenizer: Tokenizer) -> None:
    rng = random.Random(4)
    for _ in range(200):
        ids = [rng.randrange(1, tokenizer.get_vocab_size()) for _ in range(rng.randrange(1, 30))]
        text = Text(tokenizer)
        assert "".join(map(text.feed, ids)) + text.finish() == tokenizer.decode(ids)


def test_a_character_without_end_is_told_as_such(tokenizer: Tokenizer) -> None:
    half = tokenizer.encode("😀").ids[:-1]
    text = Text(tokenizer)
    assert "".join(map(text.feed, half)) == ""
    assert "\ufffd" in text.finish()


@pytest.mark.parametrize("stop", ["世", "好世", "more", "café —", "s"])
def test_nothing_of_a_stop_sequence_nor_after_it_is_told(tokenizer: Tokenizer, stop: str) -> None:
    text = Text(tokenizer, [stop, "never there"])
    told = "".join(map(text.feed, tokenizer.encode(SAMPLE).ids)) + text.finish()
    assert told == SAMPLE[: SAMPLE.index(stop)]
    assert text.stopped


def test_what_only_looked_like_a_stop_sequence_is_told_in_the_end(tokenizer: Tokenizer) -> None:
    text = Text(tokenizer, ["more than this"])
    pieces = [text.feed(id) for id in tokenizer.encode(SAMPLE).ids]
    assert "more" not in "".join(pieces)
    assert "".join(pieces) + text.finish() == SAMPLE
    assert not text.stopped
