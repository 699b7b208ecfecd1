"""What a GGUF file says of itself, checked before anything of it is used: as core/weights.py does for safetensors.

The format: magic, version, counts; then fields by name with their types; then the tensors' names, sizes, types and
places; then, from the next multiple of the alignment on, their bytes. Every number is held against the size of the
file before it is believed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from modelhall.core.errors import Rejected

try:
    from gguf import quants
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
except ImportError:  # the extra `llm`
    quants = None  # type: ignore[assignment]

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_MOST_HEADER_BYTES = 64 << 20
_MOST_FIELDS = 10_000
_MOST_TENSORS = 100_000
_MOST_DIMENSIONS = 4
_LARGEST_ALIGNMENT = 1 << 16
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, kw_only=True)
class Packed:
    """One tensor, as the header tells of it."""

    shape: tuple[int, ...]
    """As numpy has it: the last counts quickest."""
    type: int
    begin: int
    """From the beginning of the file."""
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Header:
    fields: Mapping[str, Any]
    tensors: Mapping[str, Packed]

    def field(self, name: str, kind: type, otherwise: Any = None) -> Any:
        """A field of a type; `otherwise`, if that is anything, when there is none. Raises Rejected."""
        value = self.fields.get(name, otherwise)
        if type(value) is not kind:
            raise Rejected(f"its field {name} is {str(value)[:40]!r}, and {kind.__name__} is meant")
        return value


def read(path: Path) -> Header:
    """Everything but the tensors' bytes. Raises Rejected for a file that breaks the format's rules."""
    try:
        with path.open("rb") as file:
            return _Reader(file, path.stat().st_size).header()
    except OSError as error:
        raise Rejected(f"{path.name} cannot be read: {error.strerror}") from None
    except (Rejected, UnicodeDecodeError, struct.error) as error:
        raise Rejected(f"{path.name} is no GGUF that can be trusted: {error}") from None


def read_tensor(path: Path, header: Header, name: str) -> np.ndarray:
    """One tensor, float32."""
    packed = header.tensors[name]
    with path.open("rb") as file:
        file.seek(packed.begin)
        data = np.frombuffer(file.read(packed.size_bytes), dtype=np.uint8)
    rows = data.reshape(*packed.shape[:-1], -1)
    values = quants.dequantize(rows, GGMLQuantizationType(packed.type)).reshape(packed.shape)
    return np.ascontiguousarray(values, dtype=np.float32)


class _Reader:
    """Reads on, never past what there is."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._left = min(size_bytes, _MOST_HEADER_BYTES)

    def header(self) -> Header:
        magic, version = self._take(4), self._number("I")
        if magic != _MAGIC or version not in _VERSIONS:
            raise Rejected(f"it begins with {magic!r}, version {version}; read are {_MAGIC!r}, {_VERSIONS}")
        tensors, fields = self._number("Q"), self._number("Q")
        if tensors > _MOST_TENSORS or fields > _MOST_FIELDS:
            raise Rejected(f"it says it has {tensors} tensors and {fields} fields, which is too many")
        found = {self._string(): self._value(self._number("I")) for _ in range(fields)}
        if len(found) < fields:
            raise Rejected("a field stands in it twice")
        told = [self._tensor() for _ in range(tensors)]
        return Header(fields=found, tensors=self._placed(told, found.get("general.alignment", 32)))

    def _take(self, size_bytes: int) -> bytes:
        if size_bytes > self._left:
            raise Rejected("its header goes on past the end of the file, or past what is read of one")
        self._left -= size_bytes
        return self._file.read(size_bytes)

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}")))
        return value

    def _string(self) -> str:
        return self._take(self._number("Q")).decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._number(self._form(kind))
        of, many = self._number("I"), self._number("Q")
        if of == _STRING:
            # Each takes eight bytes at least, so that a list cannot promise more than there is room for.
            if many * 8 > self._left:
                raise Rejected(f"it has a list of {many} words, for which there is no room in it")
            return [self._string() for _ in range(many)]
        form = self._form(of)
        size_bytes = struct.calcsize(f"<{form}") * many
        return list(struct.unpack(f"<{many}{form}", self._take(size_bytes))) if size_bytes else []

    def _form(self, kind: int) -> str:
        if kind not in _NUMBERS:
            raise Rejected(f"it has a field of the type {kind}, which there is none of")
        return _NUMBERS[kind]

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """Name, shape, type and place among the data."""
        name, dimensions = self._string(), self._number("I")
        if not 0 < dimensions <= _MOST_DIMENSIONS:
            raise Rejected(f"the tensor {name[:40]!r} has {dimensions} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        return name, shape[::-1], self._number("I"), self._number("Q")

    def _placed(
        self, told: list[tuple[str, tuple[int, ...], int, int]], alignment: object
    ) -> dict[str, Packed]:
        """The tensors where they lie, one behind the other and all of them inside the file."""
        if type(alignment) is not int or not 0 < alignment <= _LARGEST_ALIGNMENT:
            raise Rejected(f"its alignment is {alignment!r}")
        begin = -(-self._file.tell() // alignment) * alignment
        tensors: dict[str, Packed] = {}
        reached = 0
        for name, shape, kind, place in sorted(told, key=lambda one: one[3]):
            size_bytes = _size_of(name, shape, kind)
            if name in tensors or place < reached or begin + place + size_bytes > self._size_bytes:
                raise Rejected(f"the tensor {name[:40]!r} overlaps another one, or the end of the file")
            reached = place + size_bytes
            tensors[name] = Packed(shape=shape, type=kind, begin=begin + place, size_bytes=size_bytes)
        return tensors


def _size_of(name: str, shape: tuple[int, ...], kind: int) -> int:
    _check_installed()
    try:
        block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (ValueError, KeyError):
        raise Rejected(f"the tensor {name[:40]!r} is packed in the way {kind}, which is not known") from None
    if shape[-1] % block:
        raise Rejected(f"the tensor {name[:40]!r} has rows of {shape[-1]}, packed in blocks of {block}")
    return int(math.prod(shape) // block * block_bytes)


def _check_installed() -> None:
    if quants is None:
        raise Rejected("GGUF needs the library gguf: pip install 'modelhall[llm]'")
