"""A search as people meet it: declared, followed, described, its trials compared, its version's card."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from real_hall import DATASET, MODEL, RealHall, said

pytest.importorskip("optuna", reason="the extra `search`")
pytestmark = pytest.mark.e2e

SEARCHED = f"""{MODEL}\
search:
  budget: 4
  parallel: 2
  over:
    train.learning_rate: {{low: 1e-4, high: 1e-1, log: true}}
    network.channels: [[4], [8]]
card: {{use: to read digits, licence: MIT}}
"""


def test_four_trials_become_a_version_with_a_card_and_are_compared(
    new_hall: Callable[[], RealHall],
) -> None:
    hall = new_hall()
    done = hall.apply("---\n".join((DATASET, SEARCHED)), "--wait")
    assert done.code == 0, done.err

    model = hall.get("model", "digits")
    report = model.status.search
    assert [trial.state for trial in report.trials] == ["done"] * 4
    best = report.trials[report.best - 1]
    assert best.validated == max(trial.validated for trial in report.trials)
    (version,) = model.status.versions
    assert version.train_run == best.run

    described = hall.command("describe", "model", "digits")
    assert described.code == 0, described.err
    assert "trials (* became the version)" in described.out
    assert "true class, and what was told" in described.out
    card = json.loads(hall.command("describe", "model", "digits@1", "-o", "json").out)["card"]
    assert card["record"]["order"]["train"]["learning_rate"] == best.values["train.learning_rate"]
    assert sum(map(sum, card["evaluation"]["confusion"]["counts"])) == version.rows
    assert card["cost"]["cpu_s"] > 0
    text = said(["model", "card", "--home", str(hall.home), "digits"]).out
    assert "to read digits" in text
    assert f"| accuracy | {version.metrics['accuracy']:.4g} |" in text

    runs = [trial.run for trial in report.trials[:2]]
    told = json.loads(hall.command("compare", *runs, "-o", "json").out)
    assert "train.learning_rate" in told["settings"]
    assert all(curves["loss"] for curves in told["curves"].values())
    shown = hall.command("compare", *runs, "--png", str(hall.home.parent / "curves.png"))
    assert shown.code == 0, shown.err
    assert "⠀" in shown.out
    assert (hall.home.parent / "curves.png").read_bytes().startswith(b"\x89PNG")

    # One epoch more: another version, laid beside the first row by row.
    done = hall.apply(MODEL.replace("epochs: 2", "epochs: 3"), "--wait")
    assert done.code == 0, done.err
    second = hall.get("model", "digits").status.versions[1]
    assert second.evaluation.comparison.against == version.id
    assert set(second.evaluation.comparison.figures) == {"accuracy", "loss"}
    told = json.loads(hall.command("compare", "digits@1", "digits@2", "-o", "json").out)
    assert told["paired"]["rows"] == version.rows
    assert told["figures"]["loss"][0] == version.metrics["loss"]
