"""The Open Inference Protocol v2: bytes to checked tensors and back. Tensors stand in the JSON, or behind it as
`raw_tensors.py` has them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from modelhall.core import strict_json
from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.serving import raw_tensors
from modelhall.tasks import Tensor

LONGEST_SHAPE = 32
LONGEST_NAME = 256


class _Kind(NamedTuple):
    """What the data of a datatype are: their Python types, and for numbers the smallest and the largest."""

    types: frozenset[type]
    smallest: float = 0
    largest: float = 0


_NUMBERS = frozenset((int, float))
_FLOATS = {"FP16": 65504.0, "FP32": 3.4028234663852886e38, "FP64": 1.7976931348623157e308}
_KINDS = {
    "BOOL": _Kind(frozenset((bool,))),
    "BYTES": _Kind(frozenset((str,))),
    **{name: _Kind(_NUMBERS, -largest, largest) for name, largest in _FLOATS.items()},
    **{
        f"INT{bits}": _Kind(frozenset((int,)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        for bits in (8, 16, 32, 64)
    },
    **{f"UINT{bits}": _Kind(frozenset((int,)), 0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """A request whose inputs are those the model takes, each with data for its shape."""

    id: str | None
    inputs: dict[str, Tensor]
    rows: int
    outputs: tuple[str, ...]
    """Names asked for; empty for all."""
    raw: frozenset[str] = frozenset()
    """Those wanted as bytes."""


def read_request(
    body: bytes, takes: Sequence[Tensor], gives: Sequence[Tensor], *, json_bytes: int | None = None
) -> InferRequest:
    """Check a request against what the model takes and gives; raises Rejected. `json_bytes` of the body are JSON, or
    all of them, and what follows is data of its inputs."""
    message = _dict(strict_json.loads(body[:json_bytes]), None)
    following = raw_tensors.Following(b"" if json_bytes is None else body[json_bytes:])
    id = message.get("id")
    if id is not None and not isinstance(id, str):
        raise Rejected("an id is a string", field="id")
    wanted = {tensor.name: tensor for tensor in takes}
    given = [_tensor(value, wanted, following) for value in _list(message, "inputs")]
    following.end()
    inputs = {tensor.name: tensor for tensor in given}
    _check_inputs(inputs, wanted)
    rows = {tensor.shape[0] for tensor in inputs.values()}
    if len(rows) != 1 or 0 in rows:
        raise Rejected("all inputs must have the same number of rows, at least one", field="inputs")
    outputs, raw = _outputs(message, [tensor.name for tensor in gives])
    return InferRequest(id=id, inputs=inputs, rows=rows.pop(), outputs=outputs, raw=raw)


def write_answer(
    content: Mapping[str, Any], outputs: Sequence[Tensor], raw: frozenset[str]
) -> tuple[bytes, int]:
    """An answer with these outputs, and how many bytes of it are JSON: all, or all before the `raw` ones."""
    data = [raw_tensors.written(tensor) if tensor.name in raw else None for tensor in outputs]
    shown = [
        show(tensor, raw_bytes=None if one is None else len(one))
        for tensor, one in zip(outputs, data, strict=True)
    ]
    told = {**content, "outputs": shown}
    head = json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return b"".join((head, *(one for one in data if one is not None))), len(head)


def show(tensor: Tensor, *, data: bool = True, raw_bytes: int | None = None) -> dict[str, Any]:
    """A tensor as JSON; without its data as metadata has it, or with `raw_bytes` of them that follow."""
    shown: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    parameters = dict(tensor.parameters)
    if raw_bytes is not None:
        parameters[raw_tensors.SIZE] = raw_bytes
    if parameters:
        shown["parameters"] = parameters
    if data and raw_bytes is None:
        shown["data"] = list(tensor.data)
    return shown


def _outputs(message: Mapping[str, Any], given: Sequence[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names of the outputs asked for, none for all of them, and those that are wanted as bytes."""
    listed = (
        [_dict(output, "outputs") for output in _list(message, "outputs")] if message.get("outputs") else []
    )
    raw = {name: _parameters(message).get(raw_tensors.ALL_WANTED, False) for name in given}
    wanted = []
    for output in listed:
        name = str(output.get("name"))[:LONGEST_NAME]
        if name not in given:
            raise Rejected(f"no output {name!r}; {did_you_mean(name, given)}", field="outputs")
        raw[name] = _parameters(output).get(raw_tensors.WANTED, raw[name])
        wanted.append(name)
    return tuple(wanted), frozenset(name for name, asked in raw.items() if asked is True)


def _parameters(value: Mapping[str, Any]) -> dict[str, Any]:
    return _dict(value.get("parameters") or {}, "parameters")


def _dict(value: Any, field: str | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Rejected(f"an object was expected, not {_shown(value)}", field=field)
    return value


def _list(message: Mapping[str, Any], field: str) -> list[Any]:
    value = message.get(field)
    if not isinstance(value, list) or not value:
        raise Rejected(f"{field!r} must be a list of at least one", field=field)
    return value


def _tensor(value: Any, wanted: Mapping[str, Tensor], following: raw_tensors.Following) -> Tensor:
    """One input, its data flat and of its datatype."""
    given = _dict(value, "inputs")
    name, datatype, shape = given.get("name"), given.get("datatype"), given.get("shape")
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise Rejected(f"an input has no name of at most {LONGEST_NAME} characters", field="inputs")
    if not isinstance(datatype, str) or datatype not in _KINDS:
        asked = str(datatype)[:LONGEST_NAME]
        raise Rejected(f"{name}: no datatype {asked!r}; {did_you_mean(asked, _KINDS)}", field="inputs")
    if not isinstance(shape, list) or not 0 < len(shape) <= LONGEST_SHAPE or not all(map(_is_size, shape)):
        raise Rejected(
            f"{name}: a shape is a list of sizes, at most {LONGEST_SHAPE}, not {_shown(shape)}",
            field="inputs",
        )
    size = _parameters(given).get(raw_tensors.SIZE)
    if size is None:
        data = _flat(given.get("data"), name)
    elif "data" in given:
        raise Rejected(f"{name}: data stand either in the JSON or behind it", field="inputs")
    else:
        data = following.take(name, datatype, size)
        if datatype == "BYTES":
            data = raw_tensors.as_in_json(name, data, wanted[name].parameters if name in wanted else {})
    if len(data) != math.prod(shape):
        raise Rejected(f"{name}: {len(data)} values do not fill the shape {shape}", field="inputs")
    _check_values(name, datatype, data)
    return Tensor(name=name, datatype=datatype, shape=tuple(shape), data=data)


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


def _flat(data: Any, name: str) -> list[Any]:
    """The protocol lets data be nested as its shape is."""
    if not isinstance(data, list):
        raise Rejected(f"{name}: data must be a list", field="inputs")
    flat: list[Any] = data
    while list in (types := set(map(type, flat))):
        if len(types) > 1:
            raise Rejected(f"{name}: data is nested here and not there", field="inputs")
        flat = list(chain.from_iterable(flat))
    return flat


def _check_values(name: str, datatype: str, data: Sequence[Any]) -> None:
    """Raise Rejected unless each value is one that the datatype can hold."""
    kind = _KINDS[datatype]
    if not set(map(type, data)) <= kind.types:
        wrong = next(item for item in data if type(item) not in kind.types)
        raise Rejected(f"{name}: {_shown(wrong)} is not {datatype}", field="inputs")
    if kind.largest and data and not (kind.smallest <= min(data) and max(data) <= kind.largest):
        wrong = next(item for item in data if not kind.smallest <= item <= kind.largest)
        raise Rejected(f"{name}: {wrong} is more than {datatype} holds", field="inputs")


def _shown(value: Any) -> str:
    return json.dumps(value)[:40]


def _check_inputs(inputs: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise Rejected unless `inputs` are those wanted, no more and no fewer."""
    for name in inputs:
        if name not in wanted:
            raise Rejected(f"no input {name!r}; {did_you_mean(name, wanted)}", field="inputs")
    for name, tensor in wanted.items():
        if name not in inputs:
            raise Rejected(f"the input {name!r} is missing", field="inputs")
        _check_fits(inputs[name], tensor)


def _check_fits(given: Tensor, wanted: Tensor) -> None:
    """A further size of 1 does no harm: some clients send [n, 1] for [n]."""
    shape = given.shape
    while len(shape) > len(wanted.shape) and shape[-1] == 1:
        shape = shape[:-1]
    fits = len(shape) == len(wanted.shape) and all(
        want in (-1, have) for have, want in zip(shape, wanted.shape, strict=True)
    )
    if given.datatype != wanted.datatype or not fits:
        raise Rejected(
            f"{given.name} is {wanted.datatype} {list(wanted.shape)}, not {given.datatype} {list(given.shape)}",
            field="inputs",
        )
