"""What is kept of a training beside the model: its curves, unbroken by kills, and what it was carried out with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from killed import Killed, KilledAt

from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import TrainOrder, TrainOutput
from modelhall.core.program import Order, Reporter, open_blobs, unpacked
from modelhall.stages import _data, train
from modelhall.stages.train.curves import MOST_POINTS, Curves

TRAIN = Train(epochs=4, batch=8, learning_rate=1e-2, seed=5, checkpoint_s=1e-9)


def asked(order: Any, tmp_path: Path, **changes: Any) -> TrainOrder:
    """A training on the sum of two columns."""
    chance = np.random.default_rng(1)
    folder = tmp_path / "splits"
    folder.mkdir(exist_ok=True)
    for name, rows in (("train", 40), ("validation", 16)):
        columns = chance.normal(size=(2, rows))
        frame = pl.DataFrame({"a": columns[0], "b": columns[1], "target": columns.sum(0)})
        frame.write_parquet(folder / _data.name(name, 0, 1))
    return TrainOrder(
        task="tabular-regression",
        columns={},
        network=Network(family="linear"),
        train=TRAIN,
        data=open_blobs(order({})).put_folder(folder),
        **changes,
    )


def trained(made: Order) -> tuple[TrainOutput, dict[str, Any]]:
    """What came of a training, and its record."""
    output = TrainOutput.model_validate(train.carry_out(made, Reporter(made.work)))
    assert output.record is not None
    with unpacked(made, output.record) as folder:
        return output, json.loads((folder / "record.json").read_text())


def test_the_record_tells_what_was_ordered_with_what_and_how_it_went(order: Any, tmp_path: Path) -> None:
    what = asked(order, tmp_path)
    output, record = trained(order(what))
    assert TrainOrder.model_validate(record["order"]) == what
    assert record["libraries"].keys() >= {"python", "modelhall", "torch", "numpy"}
    assert record["machine"]["threads"] == 1
    assert record["machine"]["deterministic"] is True
    assert record["machine"]["processor"]
    assert (record["seed"], record["attempt"], record["begun_at_step"]) == (5, 1, 0)
    assert record["seconds"] > 0
    assert [step for step, _ in record["curves"]["loss"]] == list(range(1, 21))
    assert output.validated is not None
    metric = f"validation_{output.validated.metric}"
    assert [value for _, value in record["curves"][metric]] == list(output.validated.values)
    assert len(output.validated.values) == 4


def test_the_curves_of_a_killed_training_are_those_of_an_unbroken_one(order: Any, tmp_path: Path) -> None:
    what = asked(order, tmp_path)
    whole, unbroken = trained(order(what, run="unbroken"))
    killed = order(what, run="killed")
    with pytest.raises(Killed):
        train.carry_out(killed, KilledAt(killed.work, 90))
    again, record = trained(order(what, run="killed", attempt=2))
    assert record["begun_at_step"] > 0
    assert record["curves"] == unbroken["curves"]
    assert (again.artifact, again.validated) == (whole.artifact, whole.validated)


def test_a_trial_below_its_bars_stops_there_and_says_so(order: Any, tmp_path: Path) -> None:
    whole, _ = trained(order(asked(order, tmp_path), run="whole"))
    assert whole.validated is not None
    assert not whole.pruned
    bars = tuple(score + 1 for score in whole.validated.scores)
    stopped, record = trained(order(asked(order, tmp_path, bars=bars), run="stopped"))
    assert stopped.pruned
    # The first validation decides nothing.
    assert stopped.validated is not None
    assert stopped.validated.values == whole.validated.values[:2]
    assert record["curves"]["loss"][-1][0] == 10
    below = tuple(score - 1 for score in whole.validated.scores)
    assert trained(order(asked(order, tmp_path, bars=below), run="good"))[0].artifact == whole.artifact


def test_long_curves_are_thinned_and_keep_their_newest_point() -> None:
    curves = Curves()
    for step in range(10 * MOST_POINTS):
        curves.add(step, {"loss": float(step), "validation_loss": float("inf")})
    assert curves.points.keys() == {"loss"}
    assert MOST_POINTS / 2 <= len(curves.points["loss"]) <= MOST_POINTS
    assert curves.points["loss"][-1][0] == 10 * MOST_POINTS - 1
    assert curves.points["loss"] == sorted(curves.points["loss"])
