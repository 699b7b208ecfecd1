"""What simulated attempts do: the commands clients ask for, and the hall's own stages in a second or so each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhall.adapters.launcher.virtual import Script
from modelhall.core import digest
from modelhall.core.ports.launcher import Launch

WRONG_CODE = 3
"""How the command `wrong` ends, which is its user's fault."""
MACHINE = {"problem": {"message": "the disk is gone", "who": "us"}}
USER = {"problem": {"message": "no column 'image'", "who": "caller", "field": "columns"}}

SERVES = Script(takes_s=0.7, serves=True)


def script(launch: Launch) -> Script:
    """How an attempt goes if nothing disturbs it; the same for the same launch.

    Commands: `work SECONDS`, `wrong SECONDS`, `crash SECONDS TIMES` (the machine's fault, that many times).
    """
    if launch.order is None:
        what, takes_s, *more = launch.argv
        if what == "wrong":
            return Script(takes_s=float(takes_s), result={}, code=WRONG_CODE)
        if what == "crash" and launch.id.number <= int(more[0]):
            return Script(takes_s=float(takes_s), result=MACHINE, code=1)
        return Script(takes_s=float(takes_s), result={})
    order = dict(launch.order)
    match launch.argv[2].rpartition(".")[2]:
        case "prepare" if "broken" in str(order["source"]):
            return Script(takes_s=0.5, result=USER, code=2)
        case "prepare":
            return _gives(0.6, version=_named(order, "version"), artifact=_named(order, "data"), **_PREPARED)
        case "search":
            values = {field: _some(one, order) for field, one in order["over"].items()}
            return _gives(0.4, values=None if order["conclude"] else values)
        case "train":
            return _gives(1.2, artifact=_named(order, "model"), size_bytes=500, parameters=100, steps=10)
        case "evaluate":
            # One model in four is not good enough.
            accuracy = 0.97 if int(_named(order, "figure")[:4], 16) % 4 else 0.5
            return _gives(0.3, metrics={"accuracy": accuracy}, rows=20)
        case "compress":
            return _gives(0.9, artifact=_named(order, "smaller"), **_COMPRESSED)
        case "convert":
            return _gives(0.7, artifact=_named(order, "converted"), size_bytes=500)
        case "sign":
            return _gives(0.2, signature=_named(order, "signature"))
        case "erase":
            return _gives(0.2, files=3, size_bytes=1000)
    return SERVES


_PREPARED = {
    "rows": {"train": 80, "test": 20},
    "columns": [{"name": "image", "type": "binary"}], "size_bytes": 1000, "sources": [], "steps": [],
}  # fmt: skip


_COMPRESSED = {
    "size_bytes": 130, "parameters": 100, "engine": "onnxruntime", "chosen": 1,
    "ways": [
        {"name": "as trained", "size_bytes": 500, "row_ms": 1.0, "batch_ms": 9.0},
        {"name": "quantize 8", "size_bytes": 130, "row_ms": 0.5, "batch_ms": 4.0},
    ],
}  # fmt: skip


def _gives(takes_s: float, **output: object) -> Script:
    return Script(takes_s=takes_s, result={"output": output})


def _some(one: Mapping[str, Any], order: object) -> Any:
    """A value that a field of a search may have."""
    chance = int(_named([one, order], "value")[:8], 16)
    values = one["values"] or (one["low"], one["high"])
    return values[chance % len(values)]


def _named(order: object, what: str) -> str:
    return digest.of_json([order, what])
