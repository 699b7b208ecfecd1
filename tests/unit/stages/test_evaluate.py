"""Measuring: intervals that hold what they promise, slices by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.stages.evaluate.intervals import intervals
from modelhall.stages.evaluate.slices import slices
from modelhall.tasks import Predictions

ACCURACY = {"accuracy": plugins.load("metric", "accuracy").measure}


def told(predicted: list[int], truth: list[int], many: int = 2) -> Predictions:
    """Of classes, each told with certainty."""
    scores = np.eye(many, dtype=np.float32)[predicted]
    return Predictions(predicted=predicted, scores=scores, truth=truth)


def test_the_true_value_lies_in_about_95_of_100_intervals() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        right = (random.random(150) < 0.8).astype(int).tolist()
        low, high = intervals(told(right, [1] * 150), ACCURACY)["accuracy"]
        hits += low <= 0.8 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_intervals_are_the_same_each_time_and_left_out_where_a_draw_has_no_figure() -> None:
    rows = told([1, 0, 1, 1], [1, 0, 0, 1])
    measures = {**ACCURACY, "auc": plugins.load("metric", "auc").measure}
    assert intervals(rows, measures) == intervals(rows, measures)
    assert set(intervals(rows, measures)) == {"accuracy"}


def test_every_slice_is_measured_by_itself() -> None:
    rows = pl.DataFrame({"sex": ["f", "m", "f", "m", "m"], "id": range(5)})
    rows_told = told([1, 1, 1, 0, 0], [1, 1, 0, 0, 0])
    assert slices(rows, ["sex"], rows_told, ACCURACY) == {"accuracy[sex=f]": 0.5, "accuracy[sex=m]": 1.0}
    with pytest.raises(Rejected, match=r"no column 'six'.*did you mean 'sex'") as raised:
        slices(rows, ["six"], rows_told, ACCURACY)
    assert raised.value.field == "slices"


def test_a_column_of_many_values_is_no_slice() -> None:
    rows = pl.DataFrame({"id": range(101)})
    with pytest.raises(Rejected, match="101 values"):
        slices(rows, ["id"], told([1] * 101, [1] * 101), ACCURACY)


def test_metrics_are_those_that_are_known() -> None:
    """By hand, on rows that are few enough."""
    rows = Predictions(
        predicted=[1, 0, 1, 1],
        scores=np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]], np.float32),
        truth=[1, 0, 0, 1],
    )
    wanted = {
        "accuracy": 0.75, "f1_micro": 0.75, "balanced_accuracy": 0.75, "auc": 1.0,
        "log_loss": -np.log([0.8, 0.9, 0.4, 0.7]).mean(),
    }  # fmt: skip
    numbers = Predictions(predicted=[1.0, 2.0, 4.0], scores=np.zeros((3, 1)), truth=[1.0, 3.0, 2.0])
    of_numbers = {"mse": 5 / 3, "rmse": np.sqrt(5 / 3), "mae": 1.0, "r2": -1.5}
    tokens = Predictions(
        predicted=[[1, 2], [3]], scores=np.zeros((2, 1)), truth=[[1, 5], [3]],
        losses=np.array([1.0, 4.0], np.float32), told=np.array([2, 1]),
    )  # fmt: skip
    of_tokens = {"perplexity": np.exp(2.0), "token_accuracy": 2 / 3}
    for given, figures in ((rows, wanted), (numbers, of_numbers), (tokens, of_tokens)):
        for name, figure in figures.items():
            assert plugins.load("metric", name).measure(given) == pytest.approx(figure, rel=1e-6), name


def test_figures_of_classes_are_those_of_scikit_learn_also_where_classes_are_missing() -> None:
    from sklearn import metrics  # takes a second to load, which only this test has a use for

    wanted = {
        "f1_micro": lambda *rows: metrics.f1_score(*rows, average="micro"),
        "f1_macro": lambda *rows: metrics.f1_score(*rows, average="macro", zero_division=0),
        "f1_weighted": lambda *rows: metrics.f1_score(*rows, average="weighted", zero_division=0),
        "precision_macro": lambda *rows: metrics.precision_score(*rows, average="macro", zero_division=0),
        "recall_macro": lambda *rows: metrics.recall_score(*rows, average="macro", zero_division=0),
        "balanced_accuracy": metrics.balanced_accuracy_score,
    }
    random = np.random.default_rng(5)
    pairs = [random.integers(0, 7, (2, count)) for count in (4, 8, 40)]
    for truth, predicted in [*pairs, (np.array([0, 0]), np.array([2, 2]))]:
        rows = told(predicted.tolist(), truth.tolist(), many=7)
        for name, figure in wanted.items():
            assert plugins.load("metric", name).measure(rows) == pytest.approx(figure(truth, predicted)), name


def test_of_a_target_that_does_not_vary_all_is_told_or_nothing() -> None:
    r2 = plugins.load("metric", "r2").measure
    for predicted, figure in (([2.0, 2.0], 1.0), ([2.0, 3.0], 0.0)):
        assert r2(Predictions(predicted=predicted, scores=np.zeros((2, 1)), truth=[2.0, 2.0])) == figure
