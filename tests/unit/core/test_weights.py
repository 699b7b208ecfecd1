"""A safetensors file is believed only where it agrees with itself, with its size, and with the network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from modelhall.core import weights
from modelhall.core.errors import Rejected

BODY = bytes(24)
A = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
B = {"dtype": "F16", "shape": [4], "data_offsets": [16, 24]}


def written(folder: Path, header: Any, body: bytes = BODY, *, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "w.safetensors"
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + body)
    return path


def refused(path: Path) -> str:
    with pytest.raises(Rejected) as raised:
        weights.read_header(path)
    return raised.value.message


def test_what_the_library_writes_is_read_with_types_shapes_and_places(tmp_path: Path) -> None:
    tensors = {
        "w": torch.zeros(3, 4),
        "b": torch.zeros(0),
        "n": torch.tensor(7),
        "h": torch.zeros(5, dtype=torch.bfloat16),
    }
    path = tmp_path / "w.safetensors"
    path.write_bytes(save(tensors, metadata={"format": "pt"}))
    found = weights.read_header(path)
    assert {name: tensor.shape for name, tensor in found.items()} == {
        "w": (3, 4),
        "b": (0,),
        "n": (),
        "h": (5,),
    }
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "w": "F32",
        "b": "F32",
        "n": "I64",
        "h": "BF16",
    }


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"a": A}, "end at byte 16 of 24"),
        ({"a": A, "b": B, "c": {**B}}, "'c' begins at byte 16 and overlaps"),
        ({"b": B}, "'b' begins at byte 16 and leaves a hole"),
        ({"a": {**A, "data_offsets": [0, 20]}, "b": B}, "'a' needs 16 bytes by its shape [2, 2] and has 20"),
        ({"a": {**A, "shape": [2, 3]}, "b": B}, "'a' needs 24 bytes by its shape [2, 3] and has 16"),
        ({"a": {**A, "dtype": "F64"}, "b": B}, "'a' needs 32 bytes"),
        ({"a": {**A, "dtype": "O"}, "b": B}, "'a' has the type 'O'"),
        ({"a": {**A, "dtype": ["F32"]}, "b": B}, "'a' has the type ['F32']"),
        ({"a": {**A, "data_offsets": [16, 0]}, "b": B}, "'a' has no place but [16, 0]"),
        ({"a": {**A, "data_offsets": [-1, 15]}, "b": B}, "'a' has no place"),
        ({"a": {**A, "data_offsets": [0, 16.0]}, "b": B}, "'a' has no place"),
        ({"a": {**A, "data_offsets": [False, 16]}, "b": B}, "'a' has no place"),
        ({"a": {**A, "shape": [-2, -2]}, "b": B}, "'a' has no shape"),
        ({"a": {**A, "shape": [1] * 17}, "b": B}, "'a' has no shape"),
        ({"a": {**A, "shape": [2**32, 2**32], "data_offsets": [0, 0]}, "b": B}, "'a' needs 73786976294838206464"),
        ({"a": {**A, "loader": "pickle"}, "b": B}, "'a' is told of by other words"),
        ({"a": None, "b": B}, "'a' is told of by other words"),
        ({"a\0": A, "b": B}, "NUL"),
        ({"\x1b[2J": A, "b": B}, "is no name"),
        ({"a": A, "b": B, "__metadata__": {"x": 1}}, "not a list of words"),
        ({"a": A, "b": B, "__metadata__": {"x": "y" * (2 << 20)}}, "at most 1048576 are read"),
        (b'{"a": {}, "a": {}}', "the key 'a' stands twice"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a":' * 5000, "not JSON"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "levels"),
        (b"[]", "not with an object"),
        (b" {}", "not with an object"),
        (b"", "not with an object"),
        (b"\x80\x04K\x01.", "not with an object"),
    ],
)  # fmt: skip
def test_a_header_that_does_not_agree_with_itself_is_refused_and_the_tensor_is_named(
    header: Any, said: str, tmp_path: Path
) -> None:
    assert said in refused(written(tmp_path, header))


@pytest.mark.parametrize("length", [25, 2**31, 2**63, 2**64 - 1])
def test_a_header_that_is_longer_than_the_file_is_not_read(length: int, tmp_path: Path) -> None:
    assert f"{length} bytes" in refused(written(tmp_path, b"", length=length))


def test_a_header_has_its_bounds_however_large_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with path.open("wb") as file:
        file.write((1 << 30).to_bytes(8, "little") + b"{")
        file.truncate(2 << 30)
    assert "at most 16777216 are read" in refused(path)
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    assert "lists 100001 tensors" in refused(
        written(tmp_path, {f"t{n}": nothing for n in range(100_001)}, b"")
    )


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 8])
def test_a_file_without_a_header_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(data)
    assert "w.safetensors holds no weights" in refused(tmp_path / "w.safetensors")
    assert "cannot be read" in refused(tmp_path / "none.safetensors")


def test_tensors_must_be_those_of_the_network(tmp_path: Path) -> None:
    found = weights.read_header(written(tmp_path, {"a": A, "b": B}))
    weights.check_fits(found, {"a": (2, 2), "b": (4,)})
    for wanted, said in [
        ({"a": (2, 2), "b": (4,), "c": ()}, "'c' is missing"),
        ({"a": (2, 2)}, "'b' is in the file and the network has none"),
        ({"a": (4, 1), "b": (4,)}, r"'a' is \[2, 2\] in the file and \[4, 1\] in the network"),
    ]:
        with pytest.raises(Rejected, match=said):
            weights.check_fits(found, wanted)
