"""What is taken for JSON from strangers, and what is not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.errors import Rejected
from modelhall.core.strict_json import LARGEST, SMALLEST, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(SMALLEST, LARGEST) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"],
                                                                          exclude_characters="\0")), inner),
    max_leaves=30,
)  # fmt: skip


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_json_is_read_as_the_standard_library_reads_it(
    value: Any, ascii: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent).encode()
    assert loads(text) == json.loads(text) == value


@given(st.binary(max_size=40) | st.text('{}[]":,\\u0dD8e1+-.naIf \n', max_size=40).map(str.encode))
def test_whatever_comes_is_read_or_rejected_and_never_read_where_the_standard_library_sees_none(
    data: bytes,
) -> None:
    try:
        value = loads(data)
    except Rejected:
        return
    assert value == json.loads(data)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("NaN", "at 'NaN'"),
        ("[1, NaN]", "line 1 column 5, at 'NaN]'"),
        ("Infinity", "at 'Infinity'"),
        ("-Infinity", "at 'Infinity'"),
        ("1e400", "too large to compute with"),
        ("-1e400", "too large to compute with"),
        ('{"a": [0, {"b": 1e400}]}', "a.1.b: a number here is too large"),
        ("1" * 400 + ".0", "too large to compute with"),
        ("18446744073709551616", "more than 64 bits"),
        ("[-9223372036854775809]", "0: an integer here has more than 64 bits"),
        ("9" * 5000, "not JSON"),
        (r'"\ud800"', "not JSON"),
        (r'"\udc00\ud800"', "not JSON"),
        (rb'"' + b"\xed\xa0\x80" + b'"', "not JSON"),
        (b'"\xff"', "not JSON"),
        (b'"\xc0\xaf"', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "not JSON"),
        ("{}".encode("utf-32"), "not JSON"),
        ('{"a": 1, "a": 1}', "the key 'a' stands twice"),
        ('[{"b": {"a": 1, "c": 2, "a": [1]}}]', "the key 'a' stands twice"),
        (r'{"a": 1, "\u0061": 2}', "the key 'a' stands twice"),
        (r'{"\"": 1, "\\": 2, "\"": 3}', "stands twice"),
        (r'{"a": {"b\u0000": 1}}', "a: a key here holds a NUL character"),
        ("[" * 65 + "]" * 65, "more than 64 levels"),
        ('{"a":' * 65 + "1" + "}" * 65, "more than 64 levels"),
        ("[" * 100_000, "not JSON"),
        ("", "the body is empty"),
        (" \n ", "the body is empty"),
        ("{} {}", "not JSON"),
        ('{"a": 1,}', "not JSON"),
        ("{'a': 1}", "not JSON"),
        ("[01]", "not JSON"),
        ("[+1]", "not JSON"),
        ("[0x1]", "not JSON"),
        ("[1.]", "not JSON"),
        ('"a\nb"', "not JSON"),
        ('"\0"', "not JSON"),
        ("// no\n{}", "not JSON"),
    ],
)
def test_what_is_none_or_can_be_read_in_two_ways_is_rejected_with_its_place(
    bad: str | bytes, says: str
) -> None:
    with pytest.raises(Rejected) as raised:
        loads(bad.encode() if isinstance(bad, str) else bad)
    assert says in str(raised.value)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    "good", [str(LARGEST), str(SMALLEST), "1e308", "[1e308, 1e308]", "5e-324", "1e-400", r'"\ud83d\ude00"',
             r'"\u0000"',
             "[" * 64 + "]" * 64, r'{"a\\": ":", "b": "{\"a\":1,\"a\":2}"}', '{"a": {"a": {"a": 1}}}'],
)  # fmt: skip
def test_what_is_only_unusual_is_read(good: str) -> None:
    assert loads(good.encode()) == json.loads(good)


def test_levels_can_be_fewer() -> None:
    assert loads(b"[[1]]", depth=2) == [[1]]
    with pytest.raises(Rejected, match="more than 1 levels"):
        loads(b"[[1]]", depth=1)


def test_a_wrong_number_far_into_a_large_body_is_found_though_not_its_place() -> None:
    body = b"[" + b"1.5," * 200_000 + b"1e999]"
    with pytest.raises(Rejected) as raised:
        loads(body)
    assert raised.value.field is None
    assert math.isinf(json.loads(body)[-1])
