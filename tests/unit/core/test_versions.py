"""Which version a word means."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from modelhall.core.versions import named, number_of


@dataclass(frozen=True)
class Version:
    id: str


THREE = (Version("aaaa1111"), Version("aaaa2222"), Version("1234beef"))


@pytest.mark.parametrize(("word", "place"), [("1", 0), ("3", 2), ("aaaa2", 1), ("1234", 2), ("1234beef", 2)])
def test_a_version_is_meant_by_its_number_or_by_how_its_id_begins(word: str, place: int) -> None:
    found, why = named(THREE, word, "dataset d")
    assert (found, why) == (THREE[place], "")
    assert number_of(THREE, THREE[place]) == place + 1


@pytest.mark.parametrize("word", ["4", "0", "999", "beef", "123"])
def test_whoever_means_none_is_told_which_there_are(word: str) -> None:
    found, why = named(THREE, word, "dataset d")
    assert found is None
    assert why == f"dataset d has no version {word}; it has 1 (aaaa1111), 2 (aaaa2222), 3 (1234beef)"


def test_a_word_that_means_several_means_none() -> None:
    found, why = named(THREE, "aaaa", "dataset d")
    assert found is None
    assert "several versions" in why
    assert "1 (aaaa1111), 2 (aaaa2222)" in why
