"""What a safetensors file says of itself, checked before anything of it is loaded: the one way to weights.

The format: eight bytes with the length of a header, the header as JSON, then the tensors' bytes. Here the header is
held to its own rules, each byte of the data belonging to exactly one tensor, and to what a network asks for. The
bytes are read elsewhere, by the safetensors library.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from modelhall.core import strict_json
from modelhall.core.errors import Rejected

LENGTH_BYTES = 8
MOST_HEADER_BYTES = 16 << 20
MOST_METADATA_BYTES = 1 << 20
MOST_TENSORS = 100_000
MOST_DIMENSIONS = 16
LONGEST_NAME = 512
_METADATA = "__metadata__"
_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4,
    "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Bytes of one element, by type."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor, as the header tells of it."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors in a file by name. Raises Rejected, naming the tensor, for a header that breaks the format's rules
    or says more than there is."""
    try:
        with path.open("rb") as file:
            return _read_header(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise Rejected(f"{path.name} cannot be read: {error.strerror}") from None
    except Rejected as error:
        raise Rejected(f"{path.name} holds no weights that can be trusted: {error.message}") from None


def check_fits(found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise Rejected unless there is each wanted tensor, in its shape, and no other."""
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            raise Rejected(f"the tensor {name!r} is missing: the network has it and the file does not")
        if name not in wanted:
            raise Rejected(f"the tensor {name!r} is in the file and the network has none of that name")
        if found[name].shape != wanted[name]:
            there, asked = list(found[name].shape), list(wanted[name])
            raise Rejected(f"the tensor {name!r} is {there} in the file and {asked} in the network")


def _read_header(file: BinaryIO, size_bytes: int) -> dict[str, Tensor]:
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if size_bytes < LENGTH_BYTES or length > size_bytes - LENGTH_BYTES:
        raise Rejected(f"its header is said to have {length} bytes, and the whole file has {size_bytes}")
    if length > MOST_HEADER_BYTES:
        raise Rejected(f"its header has {length} bytes; at most {MOST_HEADER_BYTES} are read")
    text = file.read(length)
    if not text.startswith(b"{"):
        raise Rejected(f"its header begins with {text[:8]!r} and not with an object")
    header = strict_json.loads(text)
    _check_metadata(header.pop(_METADATA, {}))
    if len(header) > MOST_TENSORS:
        raise Rejected(f"it lists {len(header)} tensors; at most {MOST_TENSORS} are read")
    tensors = {name: _tensor(name, entry) for name, entry in header.items()}
    _check_cover(tensors, size_bytes - LENGTH_BYTES - length)
    return tensors


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Rejected(f"its {_METADATA} is not a list of words")
    size_bytes = sum(len(key) + len(value) for key, value in metadata.items())
    if size_bytes > MOST_METADATA_BYTES:
        raise Rejected(f"its {_METADATA} has {size_bytes} characters; at most {MOST_METADATA_BYTES} are read")


def _tensor(name: str, entry: Any) -> Tensor:
    """One entry of the header, its type, shape and place agreeing with each other."""
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise Rejected(f"a tensor is called {name[:40]!r}…, which is no name")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise Rejected(f"the tensor {name!r} is told of by other words than dtype, shape and data_offsets")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise Rejected(f"the tensor {name!r} has the type {dtype!r}; read are: {', '.join(_SIZES)}")
    if not _are_sizes(shape) or len(shape) > MOST_DIMENSIONS:
        raise Rejected(f"the tensor {name!r} has no shape but {str(shape)[:80]}")
    if not _are_sizes(place) or len(place) != 2 or place[0] > place[1]:
        raise Rejected(f"the tensor {name!r} has no place but {str(place)[:80]}")
    tensor = Tensor(dtype=dtype, shape=tuple(shape), begin=place[0], end=place[1])
    if tensor.elements * _SIZES[dtype] != tensor.end - tensor.begin:
        raise Rejected(
            f"the tensor {name!r} needs {tensor.elements * _SIZES[dtype]} bytes by its shape {shape} and has "
            f"{tensor.end - tensor.begin}"
        )
    return tensor


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _check_cover(tensors: Mapping[str, Tensor], data_bytes: int) -> None:
    """Raise Rejected unless the tensors lie one behind the other from the first byte of the data to the last."""
    reached = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != reached:
            how = "overlaps the one before it" if tensor.begin < reached else "leaves a hole before it"
            raise Rejected(
                f"the tensor {name!r} begins at byte {tensor.begin} and {how}, which ends at {reached}"
            )
        reached = tensor.end
    if reached != data_bytes:
        raise Rejected(
            f"its tensors end at byte {reached} of {data_bytes}: bytes are missing, or belong to none"
        )
