"""Tensors as bytes behind the JSON, as the clients of KServe and Triton send them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest

from modelhall.core.errors import Rejected
from modelhall.serving.protocol import InferRequest, read_request, write_answer
from modelhall.tasks import BASE64, Tensor

GIVES = (
    Tensor(name="label", datatype="BYTES", shape=(-1,)),
    Tensor(name="score", datatype="FP32", shape=(-1,)),
)


def elements(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def read(datatype: str, data: bytes, rows: int, size: int | None = None, **more: Any) -> InferRequest:
    tensor = {"name": "x", "datatype": datatype, "shape": [rows],
              "parameters": {"binary_data_size": len(data) if size is None else size}}  # fmt: skip
    head = json.dumps({"inputs": [tensor], **more}).encode()
    takes = (Tensor(name="x", datatype=datatype, shape=(-1,)),)
    return read_request(head + data, takes, GIVES, json_bytes=len(head))


@pytest.mark.parametrize(
    ("datatype", "kind"),
    [("FP64", "<f8"), ("FP32", "<f4"), ("FP16", "<f2"), ("INT8", "i1"), ("UINT64", "<u8"), ("BOOL", "?")],
)
def test_numbers_are_what_they_are_in_json(datatype: str, kind: str) -> None:
    values = np.array([0, 1, 1], dtype=kind)
    asked = read(datatype, values.tobytes(), 3)
    in_json = json.dumps(
        {"inputs": [{"name": "x", "datatype": datatype, "shape": [3], "data": values.tolist()}]}
    )
    assert asked.inputs == read_request(in_json.encode(), (asked.inputs["x"],), GIVES).inputs


def test_texts_come_after_their_lengths() -> None:
    assert read("BYTES", elements("你好".encode(), b""), 2).inputs["x"].data == ["你好", ""]


def test_what_is_base64_in_json_comes_as_it_is() -> None:
    picture = b"\x89PNG\xff"
    data = elements(picture)
    parameters = {"binary_data_size": len(data)}
    head = json.dumps(
        {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "parameters": parameters}]}
    ).encode()
    takes = (Tensor(name="x", datatype="BYTES", shape=(-1,), parameters=BASE64),)
    asked = read_request(head + data, takes, GIVES, json_bytes=len(head))
    assert base64.b64decode(asked.inputs["x"].data[0]) == picture


def test_several_inputs_follow_each_other() -> None:
    inputs = [
        {"name": "a", "datatype": "INT32", "shape": [2], "parameters": {"binary_data_size": 8}},
        {"name": "b", "datatype": "FP32", "shape": [2], "data": [0.5, 1.5]},
        {"name": "c", "datatype": "UINT8", "shape": [2], "parameters": {"binary_data_size": 2}},
    ]
    head = json.dumps({"inputs": inputs}).encode()
    takes = tuple(Tensor(name=one["name"], datatype=one["datatype"], shape=(-1,)) for one in inputs)  # type: ignore[arg-type]
    asked = read_request(head + struct.pack("<ii", 7, -7) + b"\x01\xff", takes, GIVES, json_bytes=len(head))
    assert [list(asked.inputs[name].data) for name in "abc"] == [[7, -7], [0.5, 1.5], [1, 255]]


@pytest.mark.parametrize(
    ("datatype", "data", "rows", "size", "says"),
    [
        ("FP32", struct.pack("<f", float("nan")), 1, None, "NaN"),
        ("FP64", struct.pack("<d", float("inf")), 1, None, "Infinity"),
        ("FP32", b"\0" * 7, 1, None, "no whole number of FP32"),
        ("FP32", b"\0" * 8, 1, None, "do not fill the shape"),
        ("FP32", b"\0" * 4, 1, 8, "4 bytes follow"),
        ("FP32", b"\0" * 4, 1, -4, "binary_data_size is -4"),
        ("FP32", b"\0" * 4, 1, 2**40, "4 bytes follow"),
        ("FP32", b"\0" * 8, 1, 4, "that no input holds"),
        ("BOOL", b"\x02", 1, None, "0 or 1"),
        ("BYTES", b"\x01\0", 1, None, "within the length"),
        ("BYTES", struct.pack("<I", 2**32 - 1) + b"a", 1, None, "of which 1 are there"),
        ("BYTES", elements(b"\xff\xfe"), 1, None, "no UTF-8"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_such_tensor_are_refused(
    datatype: str, data: bytes, rows: int, size: int | None, says: str
) -> None:
    with pytest.raises(Rejected, match=says):
        read(datatype, data, rows, size)


def test_outputs_are_bytes_where_that_is_asked_for() -> None:
    answers = [Tensor(name="label", datatype="BYTES", shape=(2,), data=["é", "b"]),
               Tensor(name="score", datatype="FP32", shape=(2,), data=[0.5, 0.25])]  # fmt: skip
    asked = read("INT8", b"\x01", 1, parameters={"binary_data_output": True})
    body, json_bytes = write_answer({"model_name": "m"}, answers, asked.raw)
    label, score = json.loads(body[:json_bytes])["outputs"]
    assert label["parameters"]["binary_data_size"] == len(elements("é".encode(), b"b"))
    assert "data" not in score
    assert body[json_bytes:] == elements("é".encode(), b"b") + np.array([0.5, 0.25], "<f4").tobytes()
    one = [{"name": "score", "parameters": {"binary_data": False}}, {"name": "label"}]
    assert read("INT8", b"\x01", 1, parameters={"binary_data_output": True}, outputs=one).raw == {"label"}
