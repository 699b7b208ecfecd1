"""What is kept of measuring beside the metrics: figures by class, calibration, rows; and two versions row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import EvaluateOrder, TrainOrder
from modelhall.core.program import Reporter, open_blobs, unpacked
from modelhall.core.shape import Shape
from modelhall.stages import _data, evaluate, train
from modelhall.stages.evaluate import details, paired, rows
from modelhall.stages.evaluate.rows import MOST_ROWS, Rows
from modelhall.tasks import Predictions

ORDER = EvaluateOrder(task="t", model="m" * 64, data="d" * 64, metrics=())


@dataclass
class Labelled:
    """As much of a task as is asked for here."""

    shape: Shape


def task(*labels: str) -> Any:
    return Labelled(Shape(head="h", sizes={}, labels=labels))


def told(scores: list[list[float]], truth: list[int]) -> Predictions:
    likely = np.array(scores, np.float32)
    losses = -np.log(likely[np.arange(len(truth)), truth])
    return Predictions(predicted=likely.argmax(1).tolist(), scores=likely, truth=truth, losses=losses)


def test_every_class_has_figures_of_its_own_and_it_is_told_what_is_taken_for_what() -> None:
    predictions = told([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7]], [0, 0, 1, 1])
    found = details.tell(ORDER, task("cat", "dog"), predictions)
    assert found["confusion"] == {"labels": ["cat", "dog"], "counts": [[2, 0], [1, 1]]}
    cat, dog = found["classes"]
    assert (cat["label"], cat["rows"], cat["recall"]) == ("cat", 2, 1.0)
    assert cat["precision"] == pytest.approx(2 / 3)
    assert (dog["precision"], dog["recall"]) == (1.0, 0.5)
    assert (found["data"], found["split"], found["rows"]) == ("d" * 64, "test", 4)


def test_confidence_that_can_be_believed_has_no_error_and_boasting_has() -> None:
    chance = np.random.default_rng(1)
    sure = chance.uniform(0.5, 1, 4000)
    scores = np.stack([1 - sure, sure], 1).tolist()
    honest = (chance.random(4000) < sure).astype(int).tolist()
    boasting = (chance.random(4000) < 0.5).astype(int).tolist()
    errors = [
        details.tell(ORDER, task("a", "b"), told(scores, truth))["calibration"]["error"]
        for truth in (honest, boasting)
    ]
    assert errors[0] < 0.04
    assert errors[1] == pytest.approx(0.25, abs=0.04)


def test_of_numbers_it_is_told_where_they_are_off() -> None:
    truth = list(map(float, range(100)))
    predictions = Predictions(
        predicted=[value + 2 for value in truth], scores=np.zeros((100, 1)), truth=truth, losses=np.ones(100)
    )
    found = details.tell(ORDER, task(), predictions)
    assert {one["error"] for one in found["errors"]} == {2.0}
    assert [one["predicted"] - one["truth"] for one in found["sizes"]] == [2.0] * 10


def test_rows_are_kept_to_the_bit_and_of_many_always_the_same(tmp_path: Path) -> None:
    many = 3 * MOST_ROWS
    predictions = Predictions(
        predicted=[0.0] * many, scores=np.zeros((many, 1)), truth=[0.0] * many,
        losses=np.arange(many, dtype=np.float32),
    )  # fmt: skip
    kept = rows.of(task(), predictions)
    assert len(kept.loss) == MOST_ROWS
    assert (kept.loss[0], kept.loss[-1]) == (0, many - 1)
    rows.write(tmp_path, kept)
    again = rows.read(tmp_path)
    assert np.array_equal(again.loss, kept.loss)
    assert again.right is None


def measured(right: np.ndarray, loss: np.ndarray) -> Rows:
    return Rows(loss=loss, told=np.ones(len(loss), np.int64), right=right.astype(np.uint8))


def test_versions_that_are_alike_are_seldom_told_apart_and_better_ones_are() -> None:
    """Of such as are alike, one in twenty is told apart by chance."""
    apart, seen = 0, 0
    for seed in range(12):
        chance = np.random.default_rng(seed)
        hard = chance.random(300)
        one, other, better = (chance.random(300) < reach - 0.3 * hard for reach in (0.9, 0.9, 1.05))
        losses = [hard + 0.3 * chance.normal(size=300) for _ in range(2)]
        alike = paired.compare(measured(one, losses[0]), measured(other, losses[1]))
        apart += sum(figure.p < 0.05 for figure in alike.values())
        found = paired.compare(measured(one, losses[0]), measured(better, losses[1] - 0.2))
        seen += sum(figure.p < 0.05 for figure in found.values())
        assert found["accuracy"].after > found["accuracy"].before
        assert found["loss"].interval[1] < 0
    assert apart <= 4
    assert seen >= 20


def test_the_same_rows_do_not_differ_from_themselves() -> None:
    one = measured(np.array([1, 0, 1]), np.array([0.1, 2.0, 0.3]))
    found = paired.compare(one, one)
    assert {figure.p for figure in found.values()} == {1.0}
    assert found["loss"].interval == (0.0, 0.0)


def test_other_rows_are_not_compared() -> None:
    one = Rows(loss=np.ones(3), told=np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="other rows"):
        paired.compare(one, Rows(loss=np.ones(3), told=np.array([1, 2, 4])))


def test_labels_are_in_artifacts_alone_and_in_nothing_that_is_readable_in_plain(
    order: Any, tmp_path: Path
) -> None:
    """Outputs go into the store, and the work folder lies beside it; only blobs are sealed."""
    folder, label = tmp_path / "splits", "canary-label"
    folder.mkdir()
    values = np.linspace(-1, 1, 40)
    frame = pl.DataFrame({"a": values, "label": [f"{label}-{value > 0}" for value in values]})
    for split in ("train", "validation", "test"):
        frame.write_parquet(folder / _data.name(split, 0, 1))
    data = open_blobs(order({})).put_folder(folder)
    task, learnt = "tabular-classification", Train(epochs=1, checkpoint_s=1e-9)
    what = TrainOrder(task=task, columns={}, network=Network(family="linear"), train=learnt, data=data)
    training = order(what, run="train")
    made = train.carry_out(training, Reporter(training.work))
    asked = EvaluateOrder(task=task, model=made["artifact"], data=data, metrics=())
    measuring = order(asked, run="evaluate")
    measured = evaluate.carry_out(measuring, Reporter(measuring.work))
    with unpacked(measuring, measured["artifact"]) as told:
        assert label in (told / details.FILE).read_text()
    assert label not in str(made) + str(measured)
    kept = [path for place in (training, measuring) for path in (place.work, place.cache)]
    files = [path for place in kept for path in place.rglob("*") if path.is_file()]
    assert files
    assert all(label.encode() not in path.read_bytes() for path in files)
