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


def documents(example: str, name: str | None = None) -> tuple[Dataset, Model]:
    """The model of an example, or the last of several, and its data set."""
    file = REPOSITORY / "examples" / example / "hall.yaml"
    declared = [one.document for one in hallfile.parse(file.read_text(), str(file))]
    (*_, model) = (one for one in declared if isinstance(one, Model) and name in (None, one.name))
    (dataset,) = (one for one in declared if isinstance(one, Dataset) and one.name == model.data)
    return dataset, model


class Example:
    """The models of an example over its data, stage after stage."""

    def __init__(self, order: Orders, name: str, folder: Path | None = None) -> None:
        """The files of its data sets are in `folder`, where they are not in a package."""
        self._order = order
        self._name = name
        self._folder = folder

    def unmet(self, model_name: str | None) -> list[str]:
        """What of a model's requirement is not reached."""
        dataset, model = documents(self._name, model_name)
        data = self._prepared(dataset)
        made = self._trained(model, data)
        measured = self._run(
            evaluate, EvaluateOrder(task=model.task, model=made, data=data, metrics=tuple(model.require))
        )
        return requirement.unmet(model.require, measured["metrics"])

    def _prepared(self, dataset: Dataset) -> str:
        if self._folder is not None:
            here = {split: str(self._folder / Path(url).name) for split, url in dataset.sources.items()}
            dataset = dataset.model_copy(update={"source": here.get("all", here)})
        return str(self._run(prepare, PrepareOrder.of(dataset))["artifact"])

    def _trained(self, model: Model, data: str) -> str:
        """A model that starts from another of the example has that trained first, on the same data."""
        base = None
        if model.base is not None:
            base = self._trained(documents(self._name, model.base.removeprefix("model://"))[1], data)
        asked = TrainOrder(
            task=model.task,
            columns=model.columns,
            network=model.network,
            train=model.train,
            data=data,
            base=base,
        )
        return str(self._run(train, asked, run=model.name)["artifact"])

    def _run(self, stage: Any, what: Any, run: str | None = None) -> dict[str, Any]:
        made = self._order(what, run=run or stage.__name__)
        return dict(stage.carry_out(made, Reporter(made.work)))


def test_digits_meet_their_requirement(order: Orders) -> None:
    assert Example(order, "digits").unmet(None) == []


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
        ("sst2", None, DATA / "text"),
        ("translation", None, DATA / "translation"),
    ],
)
def test_examples_meet_their_requirement(order: Orders, example: str, name: str | None, folder: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"the data of {example} is not at {folder}")
    assert Example(order, example, folder).unmet(name) == []
