"""Requests as the training rows were: the steps of the data set, done to what a caller sends.

Which steps those are was written down when the model was trained. A request is answered whatever a step says about
dropping it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from modelhall.core import files, plugins
from modelhall.core.errors import Rejected
from modelhall.tasks import Tensor

_TYPES = {
    str(kind()).lower(): kind
    for kind in (
        pl.String, pl.Binary, pl.Boolean, pl.Date, pl.Float32, pl.Float64,
        pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64,
    )
}  # fmt: skip


class Preparation:
    """Makes of a request what the task was trained to read."""

    def __init__(self, folder: Path) -> None:
        told: dict[str, Any] = files.read_json(folder / "preparation.json") or {}
        self._given: dict[str, str] = told["given"]
        self._read: dict[str, str] = told["read"]
        self._types = {name: _TYPES.get(kind, pl.Null) for name, kind in told["types"].items()}
        self._steps = [(step, plugins.load("step", step["name"])) for step in told["steps"]]

    def apply(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs with the steps done to them. Raises Rejected for values that are not of the column's type."""
        height = next(iter(inputs.values())).shape[0]
        rows = pl.DataFrame([
            self._column(name, inputs, height) for name in self._types
        ])  # fmt: skip
        for step, module in self._steps:
            fitted = [step["fitted"]] if hasattr(module, "fit") else []
            options = plugins.options_for("step", step["name"], "apply", step["options"])
            rows = module.apply(rows, *fitted, **options).rows
        return {part: self._tensor(part, given, rows) for part, given in inputs.items()}

    def _column(self, name: str, inputs: Mapping[str, Tensor], height: int) -> pl.Series:
        """What the request gives for a column; nothing for one that the task does not read."""
        part = next((part for part, column in self._given.items() if column == name), None)
        kind = self._types[name]
        if part is None:
            return pl.Series(name, [None] * height, dtype=kind)
        try:
            return pl.Series(name, _values(inputs[part].data, kind), dtype=kind)
        except (TypeError, ValueError, pl.exceptions.PolarsError):
            raise Rejected(
                f"{part} is not what the model was trained on, {kind()}", field=f"inputs.{part}"
            ) from None

    def _tensor(self, part: str, given: Tensor, rows: pl.DataFrame) -> Tensor:
        if part not in self._read:
            return given
        values: list[Any] = rows[self._read[part]].to_list()
        data = [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in values]
        return Tensor(name=part, datatype=given.datatype, shape=given.shape, data=data)


def _values(data: Sequence[Any], kind: type[pl.DataType]) -> list[Any]:
    """Pictures come in base64."""
    return [base64.b64decode(value, validate=True) for value in data] if kind == pl.Binary else list(data)
