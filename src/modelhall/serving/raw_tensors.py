"""Tensors as bytes behind the JSON: the binary tensor data extension of the Open Inference Protocol, which the
clients of KServe and Triton speak unless they are told otherwise. See
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html.

Values become what they are in JSON, so that nobody else has to know; where an input takes base64 in JSON, as pictures
do, the bytes stand here as they are.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from modelhall.core.errors import Rejected
from modelhall.tasks import BASE64, Tensor

SIZE = "binary_data_size"
"""The parameter that says how many bytes a tensor has."""
WANTED, ALL_WANTED = "binary_data", "binary_data_output"
"""The parameters that ask for an output, or all of them, as bytes."""
HEADER = "inference-header-content-length"
"""How many bytes of a body are JSON."""
_KINDS = {
    "BOOL": "?",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
_LENGTH = struct.Struct("<I")


class Following:
    """The bytes behind the JSON of a request, taken from one tensor after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def take(self, name: str, datatype: str, size: Any) -> list[Any]:
        """The values of the next tensor, which has `size` bytes; raises Rejected."""
        if type(size) is not int or not 0 <= size <= len(self._data):
            raise Rejected(
                f"{name}: {SIZE} is {size!r}, and {len(self._data)} bytes follow the JSON for it",
                field="inputs",
            )
        data, self._data = self._data[:size], self._data[size:]
        return _texts(name, data) if datatype == "BYTES" else _numbers(name, datatype, data)

    def end(self) -> None:
        """Raise Rejected if there is more than the tensors hold."""
        if self._data:
            raise Rejected(f"{len(self._data)} bytes follow the JSON that no input holds", field="inputs")


def as_in_json(name: str, values: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
    """Elements of BYTES as they stand in JSON, for an input that has these parameters; raises Rejected."""
    if parameters == BASE64:
        return [base64.b64encode(value).decode() for value in values]
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise Rejected(f"{name}: this is no UTF-8: {error}", field="inputs") from None


def written(tensor: Tensor) -> bytes:
    """The values of an output as bytes."""
    if tensor.datatype != "BYTES":
        return np.array(tensor.data, dtype=_KINDS[tensor.datatype]).tobytes()
    texts = [text.encode() for text in tensor.data]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def _numbers(name: str, datatype: str, data: memoryview) -> list[Any]:
    kind = np.dtype(_KINDS[datatype])
    if len(data) % kind.itemsize:
        raise Rejected(f"{name}: {len(data)} bytes are no whole number of {datatype}", field="inputs")
    values = np.frombuffer(data, dtype=np.uint8 if datatype == "BOOL" else kind)
    if kind.kind == "f" and not np.isfinite(values).all():
        raise Rejected(f"{name}: NaN or Infinity is no number to compute with", field="inputs")
    if datatype == "BOOL":
        if values.max(initial=0) > 1:
            raise Rejected(f"{name}: a BOOL is 0 or 1, not {values.max()}", field="inputs")
        values = values.astype(bool)
    return list(values.tolist())


def _texts(name: str, data: memoryview) -> list[bytes]:
    """Elements of BYTES, each after its length."""
    found, place = [], 0
    while place < len(data):
        if place + _LENGTH.size > len(data):
            raise Rejected(f"{name}: its bytes end within the length of an element", field="inputs")
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        if length > len(data) - place:
            raise Rejected(
                f"{name}: an element of {length} bytes, of which {len(data) - place} are there",
                field="inputs",
            )
        found.append(bytes(data[place : place + length]))
        place += length
    return found
