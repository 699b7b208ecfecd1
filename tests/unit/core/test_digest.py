"""Content addresses are the same on every machine and in every release: what was kept is found again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhall.core import digest

FIGURES = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | FIGURES | st.text("aé中", max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def test_the_addresses_of_known_values_never_change() -> None:
    value = {"b": [1, 0.5, None, True], "a": "中文"}
    assert digest.of_json(value) == "ba31deb1399a623208be3f94a6f0bab3bba0f679f6773286aa0e89f099c6a44b"
    assert digest.of_bytes(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@settings(max_examples=30)
@given(st.dictionaries(st.text("abc", max_size=5), JSON, max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    assert digest.of_json(dict(reversed(value.items()))) == digest.of_json(value)


@settings(max_examples=30)
@given(JSON, JSON)
def test_two_values_have_one_address_only_when_they_are_the_same_json(a: object, b: object) -> None:
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert (digest.of_json(a) == digest.of_json(b)) == same


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_is_not_json_has_no_address(value: object) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        digest.of_json(value)
