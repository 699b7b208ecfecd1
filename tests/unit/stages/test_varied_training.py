"""Training on rows that vary: to the same bits after a kill, and never on what is measured."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from killed import Killed, KilledAt
from PIL import Image

from modelhall import tasks
from modelhall.core.errors import Rejected
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import TrainOrder
from modelhall.core.program import Order, Reporter
from modelhall.stages import prepare, train
from modelhall.stages.train import losses
from modelhall.stages.train.variation import Variation, varying
from modelhall.tasks.image_classification import ImageClassification

Orders = Callable[..., Order]
TRAIN = Train(epochs=3, batch=8, learning_rate=5e-3, seed=5, checkpoint_s=1e-9)
AUGMENT = {
    "rotate": 15, "flip": ["horizontal"], "scale": 0.1, "shift": 0.1, "crop": 0.2, "contrast": 0.2, "noise": 0.05,
    "cutout": 0.3, "mixup": 0.4,
}  # fmt: skip


def frame(number: int = 40) -> pl.DataFrame:
    """Pictures with a bright half: which one is the label."""
    random = np.random.default_rng(1)
    data, labels = [], []
    for row in range(number):
        pixels = random.integers(0, 60, (8, 8)).astype(np.uint8)
        pixels[:4] += 150 * (row % 2)
        pixels[4:] += 150 * (1 - row % 2)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        data.append(buffer.getvalue())
        labels.append(("down", "up")[row % 2])
    return pl.DataFrame({"image": data, "label": labels})


@pytest.fixture
def trained(order: Orders, tmp_path: Path) -> Callable[..., TrainOrder]:
    """The order to train on a version that was prepared with this variation."""
    source = tmp_path / "rows.parquet"
    frame().write_parquet(source)

    def asked(augment: dict[str, Any] | None, seed: int = TRAIN.seed) -> TrainOrder:
        steps: list[Any] = [{"split": {"train": 0.6, "validation": 0.2, "test": 0.2}}]
        steps += [] if augment is None else [{"augment-pictures": augment}]
        what = {"source": str(source), "format": {}, "prepare": steps, "max_damaged": 0.0}
        made = order(what, run=f"p-{len(str(augment))}")
        data = prepare.carry_out(made, Reporter(made.work))["artifact"]
        return TrainOrder(
            task="image-classification",
            columns={},
            network=Network(family="cnn", channels=[4]),
            train=TRAIN.model_copy(update={"seed": seed}),
            data=data,
        )

    return asked


def run(made: Order) -> str:
    return str(train.carry_out(made, Reporter(made.work))["artifact"])


@pytest.mark.parametrize("sample", [8, 31, 56])
def test_a_killed_training_on_varied_rows_goes_on_to_the_same_bits(
    order: Orders, trained: Callable[..., TrainOrder], sample: int
) -> None:
    what = trained(AUGMENT)
    whole = run(order(what, run="unbroken"))
    killed = order(what, run="killed")
    with pytest.raises(Killed):
        train.carry_out(killed, KilledAt(killed.work, sample))
    assert run(order(what, run="killed", attempt=2)) == whole


def test_variation_and_the_seed_of_the_training_change_what_is_learnt(
    order: Orders, trained: Callable[..., TrainOrder]
) -> None:
    asked = {
        "plain": trained(None), "no-op": trained({}), "varied": trained(AUGMENT), "again": trained(AUGMENT),
        "other": trained(AUGMENT, seed=6),
    }  # fmt: skip
    made = {name: run(order(what, run=name)) for name, what in asked.items()}
    assert made["again"] == made["varied"]
    assert made["no-op"] == made["plain"], "a variation that varies nothing changes nothing"
    assert len({made["plain"], made["varied"], made["other"]}) == 3


def steps(**options: Any) -> list[dict[str, Any]]:
    return [{"name": "augment-pictures", "options": options, "fitted": None}]


@pytest.fixture
def task() -> ImageClassification:
    fitted = tasks.fit("image-classification", {"train": frame()}, {})
    assert isinstance(fitted, ImageClassification)
    return fitted


def test_a_row_varies_by_seed_epoch_and_row_and_not_by_its_batch(task: ImageClassification) -> None:
    variation = Variation(task, frame(), steps(rotate=45, noise=0.2), seed=1)
    alone = variation.batch([3], 0)["pixel_values"][0]
    among = variation.batch([7, 3, 5], 0)["pixel_values"][1]
    assert torch.equal(alone, among)
    assert not torch.equal(alone, variation.batch([3], 1)["pixel_values"][0])
    other = Variation(task, frame(), steps(rotate=45, noise=0.2), seed=2)
    assert not torch.equal(alone, other.batch([3], 0)["pixel_values"][0])


def test_mixed_rows_have_the_truth_of_both_in_their_shares(task: ImageClassification) -> None:
    rows = list(range(12))
    mixed = Variation(task, frame(), steps(mixup=0.5), seed=1).batch(rows, 0)
    assert mixed["labels"].shape == (12, 2)
    assert torch.allclose(mixed["labels"].sum(1), torch.ones(12))
    plain = task.batch(task.examples("train", frame()), rows)
    shares = mixed["labels"].gather(1, plain["labels"][:, None])[:, 0]
    share = shares[shares < 1][0]
    # Every row is its own with this share, and the rest is a row of the batch.
    for row in rows:
        rest = (mixed["pixel_values"][row] - share * plain["pixel_values"][row]) / (1 - share)
        assert min((rest - other).abs().max() for other in plain["pixel_values"]) < 1e-3
    for name in tasks.losses_of("image-classification"):
        criterion = losses.make(Choice(name=name), task.shape.labels, plain["labels"].tolist())
        loss = task.loss(lambda **_: type("Out", (), {"logits": torch.zeros(12, 2)}), mixed, criterion)
        assert loss.item() == pytest.approx(np.log(2))


def test_only_steps_that_vary_are_done_in_training() -> None:
    told = [{"name": "resize", "options": {}}, *steps(), {"name": "split", "options": {}}]
    assert varying(told) == steps()


def test_labels_are_not_mixed_where_nothing_else_can_be() -> None:
    texts = pl.DataFrame({"text": ["good", "bad"] * 4, "label": [1, 0] * 4, "image": [None] * 8})
    reading = tasks.fit("text-classification", {"train": texts}, {})
    with pytest.raises(Rejected, match="no numbers that could be mixed"):
        Variation(reading, texts, steps(mixup=0.5), seed=1).batch([0, 1], 0)
