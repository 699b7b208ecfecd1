"""What people see of a model's version."""

from __future__ import annotations

import io

from rich.console import Console

from modelhall.core.kinds.compression import Compression, Way
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


def test_what_compressing_gave_and_cost_is_shown_way_by_way() -> None:
    ways = (
        Way(name="as trained", size_bytes=4096, row_ms=2.0, batch_ms=30.0, kept=1.0),
        Way(name="quantize 8", size_bytes=1024, row_ms=0.5, batch_ms=10.0, kept=0.995, front=True),
        Way(name="quantize 4", size_bytes=600, row_ms=0.5, batch_ms=9.0, kept=0.7, refusal="keeps 70 %"),
    )
    made = Compression(run="r", keep=0.99, metrics={"accuracy": 0.91}, ways=ways, chosen=1)
    console = Console(file=io.StringIO(), width=120)
    console.print(figures(VERSION.model_copy(update={"compression": made}), 2))
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert "as it was trained: accuracy 0.91" in lines
    assert "→ quantize 8 * 1.0 KiB 0.5 ms 10 ms 99.50%" in lines
    assert "quantize 4 600 B 0.5 ms 9 ms 70.00% keeps 70 %" in lines
