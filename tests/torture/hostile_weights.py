"""Safetensors whose headers lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_parts import Made, Random, copy_of, torn
from loading import CHECKPOINT, seal_checkpoint


def header_that_lies(chance: Random, folder: Path, canary: Path) -> Made:
    model = copy_of(folder, "image")
    path = model / "model.safetensors"
    about, data = _mutated(chance, path.read_bytes())
    path.write_bytes(data)
    return about, model


def header_that_lies_in_a_text_model(chance: Random, folder: Path, canary: Path) -> Made:
    model = copy_of(folder, "text")
    path = model / "model.safetensors"
    about, data = _mutated(chance, path.read_bytes())
    path.write_bytes(data)
    return about, model


def header_that_lies_in_a_checkpoint(chance: Random, folder: Path, canary: Path) -> Made:
    place = copy_of(folder, "checkpoints")
    about, data = _mutated(chance, (place / f"{CHECKPOINT}.safetensors").read_bytes())
    seal_checkpoint(place, data)
    return about, place


def _mutated(chance: Random, data: bytes) -> tuple[str, bytes]:
    """Valid safetensors, made wrong in one way."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    name = chance.choice([key for key in header if key != "__metadata__"])
    wrong = chance.choice(HEADER_WRONGS)
    text = wrong(chance, header, name)
    if isinstance(text, dict):
        text = json.dumps(text).encode()
    packed = len(text).to_bytes(8, "little") + text + body
    if chance.random() < 0.25:
        how, packed = torn(chance, packed)
        return f"{wrong.__name__}, {how}", packed
    return wrong.__name__, packed


def _offsets(chance: Random, header: Any, name: str) -> Any:
    begin, end = header[name]["data_offsets"]
    far = chance.choice([2**31, 2**32, 2**53, 2**63 - 1, 2**64 - 1, 10**30])
    header[name]["data_offsets"] = chance.choice([
        [end, begin], [begin, far], [far, far], [-1, end], [begin + 1, end + 1], [begin], [begin, end, end], [0, end],
        [begin, end - 1], [str(begin), end], [begin, None], [True, end], [begin, 1e3], [begin + 0.5, end], [],
    ])  # fmt: skip
    return header


def _shape(chance: Random, header: Any, name: str) -> Any:
    shape = header[name]["shape"]
    header[name]["shape"] = chance.choice([
        [-1, *shape], [*shape, 2], [2**32, 2**32], [2**63, 2], [0, *shape], [1] * 40, [*shape, 0], "8", None,
        [10**6] * 12, [str(part) for part in shape], [2.0, *shape], [True], [*shape[::-1], 1], {"a": 1},
    ])  # fmt: skip
    return header


def _dtype(chance: Random, header: Any, name: str) -> Any:
    header[name]["dtype"] = chance.choice(
        ["O", "F128", "", None, 4, "F16", "I64", "object", "F32\0", ["F32"], "U8"]
    )
    return header


def _entry(chance: Random, header: Any, name: str) -> Any:
    header[name] = chance.choice(
        [None, [], 3, {}, "F32", {**header[name], "loader": "pickle"}, {"dtype": "F32"}]
    )
    return header


def _overlap(chance: Random, header: Any, name: str) -> Any:
    header[f"{name}.twin"] = dict(header[name])
    return header


def _name(chance: Random, header: Any, name: str) -> Any:
    new = chance.choice(
        ["../../etc/passwd", "a" * 10_000, "\0", "__class__", name.upper(), "", "‮x", "\x1b[2J"]
    )
    return {(new if key == name else key): value for key, value in header.items()}


def _missing(chance: Random, header: Any, name: str) -> Any:
    header.pop(name)
    return header


def _metadata(chance: Random, header: Any, name: str) -> Any:
    header["__metadata__"] = chance.choice([
        [], "x", {"a": 1}, {"a": None}, {"a": {"b": "c"}}, {"a": "b" * (2 << 20)},
        {str(n): "" for n in range(200_000)},
    ])  # fmt: skip
    return header


def _many(chance: Random, header: Any, name: str) -> Any:
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return {**header, **{f"x{n}": nothing for n in range(110_000)}}


def _twice(chance: Random, header: Any, name: str) -> bytes:
    text = json.dumps(header)
    return (text[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}").encode()


def _deep(chance: Random, header: Any, name: str) -> bytes:
    depth = chance.choice([100, 10_000, 300_000])
    return b'{"a":' * depth + b"1" + b"}" * depth


def _no_json(chance: Random, header: Any, name: str) -> bytes:
    text = json.dumps(header).encode()
    return chance.choice([
        b"", b"{", b"null", b"[]", b" " + text, text + b"}", text.replace(b'"', b"'"), b"\xff\xfe" + text,
        text + b"\0",
        b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"{" + b" " * (20 << 20) + b"}", text[: len(text) // 2],
    ])  # fmt: skip


HEADER_WRONGS: tuple[Callable[[Random, Any, str], Any], ...] = (
    _offsets, _offsets, _offsets, _shape, _shape, _shape, _dtype, _entry, _overlap, _name, _missing, _metadata, _many,
    _twice, _deep, _no_json, _no_json,
)  # fmt: skip
