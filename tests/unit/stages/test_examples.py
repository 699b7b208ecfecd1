"""The examples' stages on their real data, held to their own requirements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from modelhall.core import hallfile, requirement
from modelhall.core.kinds import Dataset, Model
from modelhall.core.orders import EvaluateOrder, FetchOrder, PrepareOrder, TrainOrder
from modelhall.core.program import Order, Reporter
from modelhall.stages import evaluate, fetch, prepare, train

REPOSITORY = Path(__file__).parents[3]
DATA = REPOSITORY.parent / "shared" / "data"
Orders = Callable[..., Order]


def documents(example: str, name: str | None = None) -> tuple[Dataset, Model]:
    """The model of an example, or the last of several, and its data set."""
    declared = [
        one.document
        for file in sorted((REPOSITORY / "examples" / example).glob("*.yaml"))
        for one in hallfile.parse(file.read_text(), str(file))
    ]
    (*_, model) = (one for one in declared if isinstance(one, Model) and name in (None, one.name))
    (dataset,) = (one for one in declared if isinstance(one, Dataset) and one.name == model.data)
    return dataset, model


def reached(order: Orders, dataset: Dataset, model: Model) -> dict[str, float]:
    """The metrics of the example, stage after stage."""

    def run(stage: Any, what: Any) -> dict[str, Any]:
        made = order(what, run=stage.__name__)
        return dict(stage.carry_out(made, Reporter(made.work)))

    data = run(prepare, PrepareOrder.of(dataset))["artifact"]
    base = run(fetch, FetchOrder(base=model.base))["artifact"] if model.base else None
    asked = TrainOrder(
        task=model.task, columns=model.columns, network=model.network, train=model.train, data=data, base=base
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
    ("example", "name", "folder"),
    [
        ("adult", None, DATA / "tabular"),
        ("california-housing", None, DATA / "tabular"),
        ("hotel-reviews", None, DATA / "chinese"),
        ("mnist", None, DATA / "vision"),
        ("poems-and-news", "news-topics", DATA / "chinese"),
        ("poems-and-news", "news-words", DATA / "chinese"),
        ("shakespeare", None, DATA / "text"),
        ("sst2", "sst2", DATA / "text"),
        ("sst2", "sst2-from-base", DATA / "text"),
        ("translation", None, DATA / "translation"),
    ],
)
def test_examples_meet_their_requirement(order: Orders, example: str, name: str | None, folder: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"the data of {example} is not at {folder}")
    dataset, model = documents(example, name)
    if model.base is not None:
        pytest.importorskip(urlsplit(model.base).netloc)
    here = {split: str(folder / Path(url).name) for split, url in dataset.sources.items()}
    dataset = dataset.model_copy(update={"source": here.get("all", here)})
    assert requirement.unmet(model.require, reached(order, dataset, model)) == []
