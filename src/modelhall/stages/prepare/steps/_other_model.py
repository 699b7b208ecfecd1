"""A model as a step is given it: the folder of its artifact, loaded once in each process.

It is the very model that a replica loads, given what a replica is given, so its labels are those of the service.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import check_columns

TASK_FILE = "modelhall-task.json"
"""Beside the model's own files: which task it is for."""
_BATCH = 64


class OtherModel:
    """A model that tells classes apart."""

    def __init__(self, folder: Path) -> None:
        # Imported here, since most preparations do without torch.
        import torch

        from modelhall import networks, tasks
        from modelhall.tasks._preparation import Preparation

        # Processes of a preparation share the processors by themselves.
        torch.set_num_threads(1)
        task = (files.read_json(folder / TASK_FILE) or {})["task"]
        self._task = tasks.load(task, folder)
        self._network = networks.load(folder)
        self._prepare = Preparation(folder) if (folder / "preparation.json").exists() else None
        self.labels = self._task.shape.labels
        if not self.labels:
            raise Rejected(f"a model for {task} tells no classes apart, so it gives no labels", field="by")

    def chances(self, rows: pl.DataFrame, columns: Mapping[str, str]) -> Any:
        """The probability of each label, float32 (rows, labels). `columns` says in which column a part is that the
        model reads, if not in one of its name. Raises Rejected for a column that is not there or cannot be read."""
        from modelhall.tasks import predict

        if not rows.height:
            return np.zeros((0, len(self.labels)), np.float32)

        inputs = {
            part.name: self._tensor(part, rows, columns.get(part.name, part.name))
            for part in self._task.inputs
        }
        asked = self._prepare.apply(inputs) if self._prepare is not None else inputs
        return predict(self._task, self._network, self._task.read(asked), batch=_BATCH).scores

    @staticmethod
    def _tensor(part: Any, rows: pl.DataFrame, column: str) -> Any:
        from modelhall.tasks import Tensor

        check_columns(rows, [column])
        if rows[column].null_count():
            raise Rejected(
                f"{column} is empty in some rows; `missing` or `clean` before it helps", field="columns"
            )
        values = rows[column].to_list()
        data = [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in values]
        return Tensor(name=part.name, datatype=part.datatype, shape=(len(data),), data=data)


@lru_cache(maxsize=2)
def load(folder: str) -> OtherModel:
    """The model of an option annotated `Model`."""
    return OtherModel(Path(folder))
