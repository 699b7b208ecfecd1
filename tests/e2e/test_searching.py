"""A search as people meet it: declared, followed, described, its trials compared, its version's card."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from real_hall import RealHall, said

pytest.importorskip("optuna", reason="the extra `search`")
pytestmark = pytest.mark.e2e

STORY = """\
kind: dataset
name: sums
source: sums.csv
licence: CC0
prepare: [{split: {train: 0.6, validation: 0.2, test: 0.2, seed: 7}}]
---
kind: model
name: sums
task: tabular-classification
data: sums
columns: {label: sign}
network: {family: linear}
train: {epochs: 2, batch: 16}
search:
  budget: 3
  parallel: 2
  over:
    train.learning_rate: {low: 1e-4, high: 1e-1, log: true}
    train.optimizer: [adamw, {sgd: {momentum: 0.9}}]
card: {use: to tell signs, licence: MIT}
"""


def write_rows(path: Path) -> None:
    """Two numbers, and whether their sum is above 0."""
    chance = random.Random(7)
    pairs = [(chance.gauss(0, 1), chance.gauss(0, 1)) for _ in range(200)]
    rows = [f"{a},{b},{'plus' if a + b > 0 else 'minus'}" for a, b in pairs]
    path.write_text("\n".join(["a,b,sign", *rows]))


def test_three_trials_become_a_version_with_a_card_and_are_compared(
    new_hall: Callable[[], RealHall],
) -> None:
    hall = new_hall()
    write_rows(hall.home.parent / "sums.csv")
    done = hall.apply(STORY, "--wait")
    assert done.code == 0, done.err

    report = hall.get("model", "sums").status.search
    assert [trial.state for trial in report.trials] == ["done"] * 3
    best = report.trials[report.best - 1]
    assert best.validated == max(trial.validated for trial in report.trials)
    (version,) = hall.get("model", "sums").status.versions
    assert version.train_run == best.run

    described = hall.command("describe", "model", "sums")
    assert described.code == 0, described.err
    assert "trials (* became the version)" in described.out
    assert "true \\ told" in described.out
    card = json.loads(hall.command("describe", "model", "sums@1", "-o", "json").out)["card"]
    assert card["record"]["order"]["train"]["learning_rate"] == best.values["train.learning_rate"]
    assert card["evaluation"]["confusion"]["labels"] == ["minus", "plus"]
    assert sum(map(sum, card["evaluation"]["confusion"]["counts"])) == version.rows
    assert card["cost"]["cpu_s"] > 0
    text = said(["model", "card", "--home", str(hall.home), "sums"]).out
    assert "to tell signs" in text
    assert "of its data: CC0" in text
    assert f"| accuracy | {version.metrics['accuracy']:.4g} |" in text

    runs = [trial.run for trial in report.trials[:2]]
    told = json.loads(hall.command("compare", *runs, "-o", "json").out)
    assert "train.learning_rate" in told["settings"]
    assert all(curves["loss"] for curves in told["curves"].values())
    shown = hall.command("compare", *runs)
    assert shown.code == 0, shown.err
    assert "━ " + runs[0] in shown.out
