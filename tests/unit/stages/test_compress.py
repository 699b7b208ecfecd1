"""Methods on a small network that has learnt something: what comes out is smaller, and answers alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from modelhall import tasks
from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.compression import Compress
from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import CompressOrder, EvaluateOrder, Search, TrainOrder
from modelhall.core.program import Order, Reporter, open_blobs, unpacked
from modelhall.stages import _data, compress, evaluate, train

Orders = Callable[..., Order]
TRAIN = Train(epochs=4, batch=16, learning_rate=1e-2)
FAMILIES = {
    "mlp": Network(family="mlp", hidden=[64, 64]),
    "linear": Network(family="linear"),
}


@pytest.fixture
def data(order: Orders) -> str:
    """Whether three numbers add up to more than zero."""
    made = order({}, run="data")
    folder = made.work / "data"
    folder.mkdir()
    for name, rows, seed in (("train", 400, 1), ("validation", 100, 2), ("test", 100, 3)):
        numbers = np.random.default_rng(seed).normal(size=(rows, 3))
        frame = pl.DataFrame(numbers, schema=["a", "b", "c"])
        frame = frame.with_columns(label=pl.Series(["more" if row.sum() > 0 else "less" for row in numbers]))
        frame.write_parquet(folder / _data.name(name, 0, 1))
    return open_blobs(made).put_folder(folder)


@pytest.fixture
def trained(order: Orders, data: str) -> Callable[[str], str]:
    def run(family: str) -> str:
        asked = TrainOrder(
            task="tabular-classification", columns={}, network=FAMILIES[family], train=TRAIN, data=data
        )
        made = order(asked, run=f"train-{family}")
        return str(train.carry_out(made, Reporter(made.work))["artifact"])

    return run


def asked(model: str, data: str, methods: Any, **more: Any) -> CompressOrder:
    return CompressOrder(
        task="tabular-classification", model=model, data=data, train=TRAIN,
        methods=Compress.model_validate(methods).methods, **more,
    )  # fmt: skip


def compressed(order: Orders, what: CompressOrder, run: str = "compress") -> dict[str, Any]:
    made = order(what, run=run)
    return dict(compress.carry_out(made, Reporter(made.work)))


def right(order: Orders, model: str, data: str, engine: str) -> float:
    """The share of the test split that is named rightly."""
    made = order({}, run="right")
    with unpacked(made, model) as folder, unpacked(made, data) as rows:
        task = tasks.load("tabular-classification", folder)
        found = plugins.load("engine", engine).load(folder, task, threads=1)
        predictions = found.predict(task.examples("test", _data.read(rows, "test")), batch=16)
    return float(np.mean(np.equal(predictions.predicted, predictions.truth)))


@pytest.mark.parametrize(
    ("methods", "smaller"),
    [
        (["export"], 0.9),
        ([{"quantize": "int8"}], 1.5),
        ([{"quantize": {"bits": 8, "weights_only": True}}], 2.0),
        ([{"quantize": "int4"}], 3.0),
        ([{"prune": 0.5}], 2.0),
        ([{"quantize": "int8"}, {"prune": 0.5}], 2.3),
        ([{"prune": {"share": 0.5, "epochs": 1}}, "quantize"], 2.3),
        ([{"distil": {"network": {"family": "mlp", "hidden": [16]}}}], 5.0),
    ],
    ids=str,
)  # fmt: skip
def test_each_method_makes_it_smaller_and_its_answers_stay_near(
    order: Orders, data: str, trained: Callable[[str], str], methods: Any, smaller: float
) -> None:
    model = trained("mlp")
    made = compressed(order, asked(model, data, methods))
    before, after = made["ways"]
    assert made["chosen"] == 1
    assert before["size_bytes"] / after["size_bytes"] >= smaller
    assert after["size_bytes"] == made["size_bytes"]
    assert right(order, made["artifact"], data, "onnxruntime") >= 0.95 * right(order, model, data, "torch")


def test_the_same_order_makes_the_same_bytes_also_when_it_is_killed_on_the_way(
    order: Orders, data: str, trained: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    what = asked(trained("mlp"), data, [{"prune": 0.5}, {"quantize": "int8"}])
    # Checkpoints from the first step on.
    what = what.model_copy(update={"train": TRAIN.model_copy(update={"checkpoint_s": 1e-9})})
    whole = compressed(order, what, run="whole")["artifact"]

    class Killed(Exception): ...

    progress = Reporter.progress

    def die(self: Reporter, done: float, *more: Any, **told: Any) -> None:
        if done > 300:
            raise Killed
        progress(self, done, *more, **told)

    with monkeypatch.context() as dying:
        dying.setattr(Reporter, "progress", die)
        with pytest.raises(Killed):
            compressed(order, what, run="killed")
    found: list[float] = []

    def watch(self: Reporter, done: float, total: float, unit: str, **told: Any) -> None:
        if unit == "samples":
            found.append(done)

    monkeypatch.setattr(Reporter, "progress", watch)
    assert compressed(order, what, run="killed")["artifact"] == whole
    assert found[0] > TRAIN.batch  # which is what the first step of all would say


def test_a_search_takes_the_smallest_and_fastest_way_that_keeps_enough(
    order: Orders, data: str, trained: Callable[[str], str]
) -> None:
    require = {"accuracy": ">= 0.8"}
    what = asked(trained("mlp"), data, {"search": True}, search=Search(keep=0.5, require=require))
    made = compressed(order, what)
    ways = made["ways"]
    assert [way["name"] for way in ways] == [
        "as trained", "export", "quantize 8", "quantize 8 weights only", "quantize 4",
        "prune 0.3, quantize 8", "prune 0.6, quantize 8",
    ]  # fmt: skip
    assert ways[0]["kept"] == 1
    assert all(way["kept"] is not None for way in ways)
    assert any(way["front"] for way in ways)
    assert made["chosen"] > 0


def test_a_search_leaves_out_what_does_not_suit(
    order: Orders, data: str, trained: Callable[[str], str]
) -> None:
    what = asked(
        trained("linear"), data, {"search": True}, search=Search(keep=0.9, require={"accuracy": ">= 0.5"})
    )
    assert not any("prune" in way["name"] for way in compressed(order, what)["ways"])


def test_what_cannot_be_pruned_says_what_would_do(
    order: Orders, data: str, trained: Callable[[str], str]
) -> None:
    with pytest.raises(Rejected, match="`quantize` makes it smaller") as caught:
        compressed(order, asked(trained("linear"), data, [{"prune": 0.5}]))
    assert caught.value.field == "compress.prune"


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 7.0])
def test_a_share_that_is_none_is_refused(
    order: Orders, data: str, trained: Callable[[str], str], share: float
) -> None:
    with pytest.raises(Rejected, match="a share lies between 0 and 1"):
        compressed(order, asked(trained("linear"), data, [{"prune": share}]))


def test_it_is_measured_through_the_engine_that_serves_it(
    order: Orders, data: str, trained: Callable[[str], str]
) -> None:
    made = compressed(order, asked(trained("mlp"), data, ["export"]))
    what = EvaluateOrder(
        task="tabular-classification", model=made["artifact"], data=data, metrics=("accuracy",),
        engine=made["engine"],
    )  # fmt: skip
    asked_for = order(what, run="evaluate")
    measured = evaluate.carry_out(asked_for, Reporter(asked_for.work))
    assert measured["metrics"]["accuracy"] == right(order, made["artifact"], data, "onnxruntime")
    as_trained = order(what.model_copy(update={"engine": "torch"}), run="evaluate-torch")
    with pytest.raises(Rejected, match="leave `engine` out"):
        evaluate.carry_out(as_trained, Reporter(as_trained.work))
