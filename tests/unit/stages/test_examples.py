"""The examples' stages on their real data, held to their own requirements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelhall.core import hallfile, requirement
from modelhall.core.kinds import Dataset, Model
from modelhall.core.orders import EvaluateOrder, PrepareOrder, TrainOrder
from modelhall.core.program import Order, Reporter
from modelhall.stages import evaluate, prepare, train

REPOSITORY = Path(__file__).parents[3]
DATA = REPOSITORY.parent / "shared" / "data"
Orders = Callable[..., Order]


def documents(example: str) -> tuple[Dataset, Model]:
    file = REPOSITORY / "examples" / example / "hall.yaml"
    found = {
        declared.document.kind: declared.document for declared in hallfile.parse(file.read_text(), str(file))
    }
    dataset, model = found["dataset"], found["model"]
    assert isinstance(dataset, Dataset)
    assert isinstance(model, Model)
    return dataset, model


def reached(order: Orders, dataset: Dataset, model: Model) -> dict[str, float]:
    """The metrics of the example, stage after stage."""

    def run(stage: Any, what: Any) -> dict[str, Any]:
        made = order(what, run=stage.__name__)
        return dict(stage.carry_out(made, Reporter(made.work)))

    data = run(prepare, PrepareOrder.of(dataset))["artifact"]
    asked = TrainOrder(
        task=model.task, columns=model.columns, network=model.network, train=model.train, data=data
    )
    trained = run(train, asked)["artifact"]
    metrics = tuple(model.require)
    return run(evaluate, EvaluateOrder(task=model.task, model=trained, data=data, metrics=metrics))["metrics"]


def test_digits_meet_their_requirement(order: Orders) -> None:
    dataset, model = documents("digits")
    assert requirement.unmet(model.require, reached(order, dataset, model)) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("example", "folder"),
    [
        ("adult", DATA / "tabular"),
        ("california-housing", DATA / "tabular"),
        ("hotel-reviews", DATA / "chinese"),
        ("sst2", DATA / "text"),
    ],
)
def test_texts_meet_their_requirement(order: Orders, example: str, folder: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"the data of {example} is not at {folder}")
    dataset, model = documents(example)
    here = {split: str(folder / Path(url).name) for split, url in dataset.sources.items()}
    dataset = dataset.model_copy(update={"source": here.get("all", here)})
    assert requirement.unmet(model.require, reached(order, dataset, model)) == []
