"""Tensors as the bytes of a safetensors file, piece by piece: on their way to the disk or to another worker.

The library makes all the bytes at once, a second copy of everything, and lets no other thread run meanwhile; the
training would stand still for as long. Files are read back by the library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import torch

_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
    torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64",
}  # fmt: skip
_TYPES = {name: dtype for dtype, name in _NAMES.items()}
_ALIGNED_TO = 8


def header_of(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """What a file of these begins with: the length of the JSON and the JSON."""
    entries, reached = {}, 0
    for name, tensor in tensors.items():
        end = reached + tensor.numel() * tensor.element_size()
        entries[name] = {
            "dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [reached, end],
        }  # fmt: skip
        reached = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED_TO)
    return len(text).to_bytes(8, "little") + text


def room_for(header: bytes) -> dict[str, torch.Tensor]:
    """Tensors that hold nothing yet, as `header_of` told of them."""
    return {
        name: torch.empty(entry["shape"], dtype=_TYPES[entry["dtype"]])
        for name, entry in json.loads(header[8:]).items()
    }


def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The memory of a contiguous tensor, uint8 (bytes,)."""
    return tensor.reshape(-1).view(torch.uint8)


def pieces_of(tensors: Mapping[str, torch.Tensor]) -> Iterator[memoryview]:
    """The file, its header first."""
    yield memoryview(header_of(tensors))
    for tensor in tensors.values():
        yield as_bytes(tensor.contiguous()).numpy().data
