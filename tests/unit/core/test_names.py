"""What may be a name, and what a misspelt one is taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.errors import Rejected
from modelhall.core.names import check_name, check_reference, did_you_mean, split_reference

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9a-f]{4,64}", fullmatch=True)


@pytest.mark.parametrize("name", ["a", "a-", "a1", "a" * 63, "review-sentiment"])
def test_lower_case_letters_digits_and_dashes_make_a_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a_b", "a.b", "a b", "a" * 64, "a\n", "é", "a/b", "а"])
def test_nothing_else_makes_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        check_name(name)


@given(NAMES, VERSIONS)
def test_a_reference_is_split_where_it_was_joined(name: str, version: str) -> None:
    assert split_reference(name) == (name, None)
    assert split_reference(check_reference(f"{name}@{version}")) == (name, version)


@pytest.mark.parametrize(
    "reference", ["", "@3f2a", "a@", "a@3f2", "a@XYZ1", "a@3F2A", "a@3f2a@3f2a", "a@" + "0" * 65]
)
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(ValueError, match="not a reference"):
        check_reference(reference)
    with pytest.raises(Rejected, match="not a reference"):
        split_reference(reference)


def test_a_misspelt_word_is_met_with_the_closest_one() -> None:
    assert did_you_mean("modle", ["service", "model", "dataset"]) == "did you mean 'model'?"


def test_a_word_like_no_other_is_met_with_all_there_is_in_order() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "there is: a, b"
    assert did_you_mean("zzz", []) == "there is none"
    many = did_you_mean("zzz", [f"a{number}" for number in range(50)])
    assert many.endswith("and 10 more")


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=10)))
def test_a_suggestion_is_always_something_there_is(word: str, known: list[str]) -> None:
    said = did_you_mean(word, known)
    assert said.startswith(("did you mean ", "there is"))
    assert any(repr(k) in said or k in said for k in known or [""])
