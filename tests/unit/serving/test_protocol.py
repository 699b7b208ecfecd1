"""The Open Inference Protocol as clients write it, well and badly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelhall.core.errors import Rejected
from modelhall.serving.protocol import read_request, show
from modelhall.tasks import Tensor

TAKES = (Tensor(name="text", datatype="BYTES", shape=(-1,)),)
GIVES = (
    Tensor(name="label", datatype="BYTES", shape=(-1,)),
    Tensor(name="score", datatype="FP32", shape=(-1,)),
)
GOOD: dict[str, Any] = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}


def body(**changes: Any) -> bytes:
    return json.dumps({"inputs": [{**GOOD, **changes}]}).encode()


def test_a_request_is_read_with_its_rows() -> None:
    read = read_request(b'{"id": "7", "inputs": [%s]}' % json.dumps(GOOD).encode(), TAKES, GIVES)
    assert (read.id, read.rows, list(read.inputs["text"].data)) == ("7", 2, ["a", "b"])


@pytest.mark.parametrize(
    ("shape", "data"), [([2, 1], [["a"], ["b"]]), ([2], [["a", "b"]]), ([2, 1], ["a", "b"])]
)
def test_data_may_be_nested_and_have_a_last_size_of_one(shape: list[int], data: Any) -> None:
    read = read_request(body(shape=shape, data=data), TAKES, GIVES)
    assert (read.rows, list(read.inputs["text"].data)) == (2, ["a", "b"])


def test_outputs_can_be_chosen() -> None:
    asked = json.dumps({"inputs": [GOOD], "outputs": [{"name": "score"}]}).encode()
    assert read_request(asked, TAKES, GIVES).outputs == ("score",)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"inputs": [NaN]}', "NaN"),
        (b"[]", "an object was expected"),
        (b"{}", "'inputs' must be a list"),
        (b'{"inputs": []}', "'inputs' must be a list"),
        (b'{"inputs": ["x"]}', "an object was expected"),
        (b'{"inputs": {}}', "'inputs' must be a list"),
        (body(name=None), "no name"),
        (body(name="txt"), "did you mean 'text'"),
        (body(datatype="STRING"), "no datatype 'STRING'"),
        (body(datatype="FP32", data=[1, 2]), "text is BYTES"),
        (body(datatype="FP32", data=[1, True]), "true is not FP32"),
        (
            b'{"inputs":[{"name":"text","datatype":"FP32","shape":[1],"data":[1e400]}]}',
            "too large to compute with",
        ),
        (body(shape=[3]), "2 values do not fill"),
        (body(shape=[-2]), "a shape is a list of sizes"),
        (body(shape=[True, 2]), "a shape is a list of sizes"),
        (body(shape=[1, 2]), "not BYTES [1, 2]"),
        (body(shape=[0], data=[]), "at least one"),
        (body(data=["a", 2]), "2 is not BYTES"),
        (body(data=["a", None]), "null is not BYTES"),
        (body(data="ab"), "data must be a list"),
        (b'{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":["\\ud800"]}]}', "hex escape"),
        (json.dumps({"id": 7, "inputs": [GOOD]}).encode(), "an id is a string"),
        (json.dumps({"inputs": [GOOD], "outputs": [{"name": "labl"}]}).encode(), "did you mean 'label'"),
        (json.dumps({"inputs": [GOOD], "outputs": 7}).encode(), "list"),
        (json.dumps({"inputs": [GOOD, {**GOOD, "name": "other"}]}).encode(), "no input 'other'"),
    ],
)
def test_a_malformed_request_is_rejected_with_what_is_wrong(bad: bytes, says: str) -> None:
    with pytest.raises(Rejected) as raised:
        read_request(bad, TAKES, GIVES)
    assert says in raised.value.message
    assert raised.value.status == 400


NUMBERS = (Tensor(name="x", datatype="FP32", shape=(-1, 2)), Tensor(name="n", datatype="UINT8", shape=(-1,)))


def numbers(x: str = "[1, 2]", n: str = "[3]") -> bytes:
    """Two inputs, as text, since no writer of JSON would write what some of these are."""
    parts = [
        f'{{"name": "{name}", "datatype": "{kind}", "shape": {shape}, "data": {data}}}'
        for name, kind, shape, data in (("x", "FP32", "[1, 2]", x), ("n", "UINT8", "[1]", n))
    ]
    return f'{{"inputs": [{", ".join(parts)}]}}'.encode()


def test_numbers_are_read() -> None:
    assert list(read_request(numbers("[[0.5, -3.4e38]]", "[255]"), NUMBERS, GIVES).inputs["x"].data) == [
        0.5,
        -3.4e38,
    ]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (numbers("[NaN, 1]"), "not JSON"),
        (numbers("[1, Infinity]"), "not JSON"),
        (numbers("[1, 1e400]"), "too large to compute with"),
        (numbers("[1, 1e39]"), "1e+39 is more than FP32 holds"),
        (numbers("[1, null]"), "null is not FP32"),
        (numbers(n="[256]"), "256 is more than UINT8 holds"),
        (numbers(n="[-1]"), "-1 is more than UINT8 holds"),
        (numbers(n="[1.0]"), "1.0 is not UINT8"),
        (numbers(n="[99999999999999999999]"), "64 bits"),
        (numbers(x="[1, 2]", n="[3, 4]"), "do not fill the shape"),
        (numbers("[[1], 2]"), "nested here and not there"),
        (numbers("[" * 40 + "1, 2" + "]" * 40, n="[" * 70 + "]" * 70), "more than 64 levels"),
        (numbers("[]"), "0 values do not fill"),
    ],
)
def test_numbers_that_a_tensor_cannot_hold_are_rejected(bad: bytes, says: str) -> None:
    with pytest.raises(Rejected) as raised:
        read_request(bad, NUMBERS, GIVES)
    assert says in raised.value.message


@pytest.mark.parametrize(
    "shape", ["[9223372036854775807, 9223372036854775807]", "[1, -2]", "[-1, -2]", "[1e3]",
              "[" + "1," * 40 + "2]", "[]",
              "{}", "7", "null", "[[1, 2]]", '["1", "2"]', "[1099511627776, 2]"],
)  # fmt: skip
def test_a_shape_that_no_data_has_is_rejected_without_room_being_made_for_it(shape: str) -> None:
    body = numbers().replace(b"[1, 2]", shape.encode(), 1)
    with pytest.raises(Rejected) as raised:
        read_request(body, NUMBERS, GIVES)
    assert len(raised.value.message) < 200


def test_a_name_or_a_value_that_is_enormous_is_not_told_back() -> None:
    for bad in (body(name="x" * 10**6), body(datatype="x" * 10**6), body(data=["a", ["x" * 10**6]]),
                body(shape=[1] * 10**6)):  # fmt: skip
        with pytest.raises(Rejected) as raised:
            read_request(bad, TAKES, GIVES)
        assert len(raised.value.message) < 1000


def test_inputs_of_different_length_are_rejected() -> None:
    two = (*TAKES, Tensor(name="pair", datatype="BYTES", shape=(-1,)))
    asked = json.dumps({"inputs": [GOOD, {**GOOD, "name": "pair", "shape": [1], "data": ["x"]}]}).encode()
    with pytest.raises(Rejected, match="same number of rows"):
        read_request(asked, two, GIVES)


def test_a_missing_input_is_rejected_by_name() -> None:
    two = (*TAKES, Tensor(name="pair", datatype="BYTES", shape=(-1,)))
    with pytest.raises(Rejected, match="'pair' is missing"):
        read_request(body(), two, GIVES)


def test_a_tensor_is_shown_with_its_parameters() -> None:
    tensor = Tensor(
        name="s", datatype="FP32", shape=(1, 2), data=(0.5, 0.5), parameters={"labels": ["a", "b"]}
    )
    assert show(tensor) == {
        "name": "s", "datatype": "FP32", "shape": [1, 2], "parameters": {"labels": ["a", "b"]}, "data": [0.5, 0.5]
    }  # fmt: skip
    assert "data" not in show(tensor, data=False)
