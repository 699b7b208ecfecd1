"""The figures that a program has told while it runs, read from the file it appends to."""

from __future__ import annotations

from pathlib import Path

from modelhall.adapters.launcher.supervision.told import MOST_POINTS, told
from modelhall.core.program import Reporter


def test_what_a_program_reports_can_be_read_while_it_runs(tmp_path: Path) -> None:
    assert told(tmp_path) == {}
    reporter = Reporter(tmp_path)
    reporter.metrics(1, {"loss": 2.0, "rate": float("nan")})
    reporter.metrics(3, {"loss": 1.5})
    reporter.metrics(3, {"accuracy": 0.5})
    assert told(tmp_path) == {"loss": [(1, 2.0), (3, 1.5)], "accuracy": [(3, 0.5)]}


def test_lines_that_are_no_figures_are_passed_over(tmp_path: Path) -> None:
    lines = [
        b'{"step": 1, "loss": 1.0}', b"", b"[]", b"null", b"{}", b'{"step": "x", "loss": 1}', b"\xff\xfe",
        b'{"step": 1e999, "loss": 1}', b'{"step": 2, "loss": "low"}', b'{"step": 3, "loss": NaN}',
        b'{"step": 4, "loss": 0.5}', b'{"step": 5, "lo',
    ]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines))
    assert told(tmp_path) == {"loss": [(1, 1.0), (4, 0.5)]}


def test_of_a_long_curve_the_first_and_the_newest_point_are_told(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        "".join(f'{{"step": {step}, "loss": {step / 10}}}\n' for step in range(5000))
    )
    curve = told(tmp_path)["loss"]
    assert len(curve) == MOST_POINTS
    assert (curve[0], curve[-1]) == ((0, 0.0), (4999, 499.9))
    assert [step for step, _ in curve] == sorted({step for step, _ in curve})
