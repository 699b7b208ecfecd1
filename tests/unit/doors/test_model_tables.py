"""What people see of a model's version."""

from __future__ import annotations

import io

from rich.console import Console

from modelhall.core.kinds.model import ModelVersion
from modelhall.doors.cli.model_tables import figures

VERSION = ModelVersion(
    id="a" * 64, artifact="b" * 64, accepted=True, size_bytes=1, parameters=1, task="tabular-classification",
    data="d@1", train_run="t", evaluate_run="e", created_at=0.0, rows=1234,
    metrics={"accuracy": 0.9, "accuracy[sex=f]": 0.85, "accuracy[sex=m]": 0.95, "loss": 0.31},
    intervals={"accuracy": (0.88, 0.92)},
)  # fmt: skip


def test_figures_are_shown_with_intervals_and_slices() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(figures(VERSION, 2))
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert "version 2 (aaaaaaaaaaaa), measured on 1,234 rows of the test split" in lines
    assert "accuracy 0.9 0.88 to 0.92" in lines
    assert "sex=f 0.85" in lines
