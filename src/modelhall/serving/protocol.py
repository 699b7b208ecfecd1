"""The Open Inference Protocol v2 in JSON: bytes to checked tensors and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.tasks import Tensor

_KINDS: dict[str, type | tuple[type, ...]] = {
    "BOOL": bool, "BYTES": str, "FP16": (int, float), "FP32": (int, float), "FP64": (int, float),
    **{f"{sign}INT{bits}": int for sign in ("", "U") for bits in (8, 16, 32, 64)},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """A request whose inputs are those the model takes, each with data for its shape."""

    id: str | None
    inputs: dict[str, Tensor]
    rows: int
    outputs: tuple[str, ...]
    """Names asked for; empty for all."""


def read_request(body: bytes, takes: Sequence[Tensor], gives: Sequence[Tensor]) -> InferRequest:
    """Check a request against what the model takes and gives; raises Rejected."""
    message = _parse(body)
    id = message.get("id")
    if id is not None and not isinstance(id, str):
        raise Rejected("an id is a string", field="id")
    inputs = {tensor.name: tensor for tensor in map(_tensor, _list(message, "inputs"))}
    _check_inputs(inputs, {tensor.name: tensor for tensor in takes})
    rows = {tensor.shape[0] for tensor in inputs.values()}
    if len(rows) != 1 or 0 in rows:
        raise Rejected("all inputs must have the same number of rows, at least one", field="inputs")
    outputs = _list(message, "outputs") if message.get("outputs") else []
    wanted = tuple(str(_dict(output, "outputs").get("name")) for output in outputs)
    given = [tensor.name for tensor in gives]
    for name in wanted:
        if name not in given:
            raise Rejected(f"no output {name!r}; {did_you_mean(name, given)}", field="outputs")
    return InferRequest(id=id, inputs=inputs, rows=rows.pop(), outputs=wanted)


def show(tensor: Tensor, *, data: bool = True) -> dict[str, Any]:
    """A tensor as JSON; without its data as metadata has it."""
    shown: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if tensor.parameters:
        shown["parameters"] = dict(tensor.parameters)
    if data:
        shown["data"] = list(tensor.data)
    return shown


def _parse(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body, parse_constant=_refuse_constant)
        # A lone surrogate can be written as an escape and stands for no text.
        json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Rejected("a string holds half a surrogate pair") from None
    except (ValueError, RecursionError) as error:
        raise Rejected(f"the body is not JSON: {error}") from None
    return _dict(message, None)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _dict(value: Any, field: str | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Rejected(f"an object was expected, not {json.dumps(value)[:40]}", field=field)
    return value


def _list(message: dict[str, Any], field: str) -> list[Any]:
    value = message.get(field)
    if not isinstance(value, list) or not value:
        raise Rejected(f"{field!r} must be a list of at least one", field=field)
    return value


def _tensor(value: Any) -> Tensor:
    """One input, its data flat and of its datatype."""
    given = _dict(value, "inputs")
    name, datatype, shape = given.get("name"), given.get("datatype"), given.get("shape")
    if not isinstance(name, str):
        raise Rejected("an input has no name", field="inputs")
    if datatype not in _KINDS:
        raise Rejected(
            f"{name}: no datatype {datatype!r}; {did_you_mean(str(datatype), _KINDS)}", field="inputs"
        )
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size >= 0 for size in shape):
        raise Rejected(f"{name}: a shape is a list of sizes, not {json.dumps(shape)[:40]}", field="inputs")
    data = _flat(given.get("data"), name)
    if len(data) != math.prod(shape):
        raise Rejected(f"{name}: {len(data)} values do not fill the shape {shape}", field="inputs")
    for item in data:
        is_kind = isinstance(item, _KINDS[datatype]) and isinstance(item, bool) == (datatype == "BOOL")
        if not is_kind or (isinstance(item, float) and not math.isfinite(item)):
            raise Rejected(f"{name}: {json.dumps(item)[:40]} is not {datatype}", field="inputs")
    return Tensor(name=name, datatype=datatype, shape=tuple(shape), data=data)


def _flat(data: Any, name: str) -> list[Any]:
    """The protocol lets data be nested as its shape is."""
    if not isinstance(data, list):
        raise Rejected(f"{name}: data must be a list", field="inputs")
    flat: list[Any] = data
    while any(isinstance(item, list) for item in flat):
        flat = [part for item in flat for part in (item if isinstance(item, list) else [item])]
    return flat


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
