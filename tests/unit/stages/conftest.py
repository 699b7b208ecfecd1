"""Orders for stages, each hall of its own in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import TrainOrder
from modelhall.core.program import Order, Reporter, open_blobs, unpacked
from modelhall.stages import _data, prepare, train

Orders = Callable[..., Order]


@pytest.fixture
def order(tmp_path: Path) -> Orders:
    """Makes an order; two with the same `run` share their state, as attempts of one run do."""

    def make(
        what: Frozen | dict[str, Any], run: str = "r1", attempt: int = 1, threads: int = 1, workers: int = 1
    ) -> Order:
        places = {
            "work": tmp_path / run / str(attempt),
            "state": tmp_path / run / "state",
            "cache": tmp_path / "c",
        }
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        given = what if isinstance(what, dict) else what.model_dump(mode="json")
        return Order(
            run=run,
            attempt=attempt,
            what=given,
            blobs=f"folder://{tmp_path}/blobs",
            threads=threads,
            workers=workers,
            **places,
        )

    return make


@pytest.fixture
def verdicts(order: Orders) -> str:
    """The artifact of a model that tells good reviews from bad ones, in the blobs of these orders."""
    made = order({}, run="verdicts")
    rows = [(f"the room was {word}", label) for word, label in (("fine", "good"), ("dirty", "bad"))] * 30
    folder = made.work / "data"
    folder.mkdir()
    frame = pl.DataFrame(rows, schema=["text", "label"], orient="row")
    frame.write_parquet(folder / _data.name("train", 0, 1))
    asked = TrainOrder(
        task="text-classification",
        columns={},
        network=Network(family="bert", hidden=16, layers=1, heads=2),
        train=Train(epochs=3, batch=4, learning_rate=1e-2),
        data=open_blobs(made).put_folder(folder),
    )
    made = order(asked, run="verdicts-train")
    return str(train.carry_out(made, Reporter(made.work))["artifact"])


@pytest.fixture
def prepared(order: Orders) -> Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]:
    """Runs prepare; its output and the rows of each split."""

    def run(
        threads: int = 1, attempt: int = 1, **what: Any
    ) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
        made = order({"format": {}, "prepare": [], "max_damaged": 0.01, **what}, "prepare", attempt, threads)
        output = dict(prepare.carry_out(made, Reporter(made.work)))
        with unpacked(made, output["artifact"]) as folder:
            return output, {split: _data.read(folder, split) for split in output["rows"]}

    return run
