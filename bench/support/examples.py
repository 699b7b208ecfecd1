"""The examples as a bench needs them: what their hall files declare, over data that lies elsewhere, and the hall's
stages carried out one after the other, without a hall."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from modelhall.core import hallfile
from modelhall.core.kinds import Dataset, Model
from modelhall.core.kinds.base import Frozen
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import _data

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY.parent / "shared" / "data"


def models(folder: str, data: Path) -> dict[str, tuple[Dataset, Model]]:
    """Every model of an example with its data set, by its name, those of hall.yaml first; without those whose data is
    not below `data`."""
    files = (REPOSITORY / "examples" / folder).glob("*.yaml")
    declared = [
        one.document
        for file in sorted(files, key=lambda file: (file.name != "hall.yaml", file.name))
        for one in hallfile.parse(file.read_text(), str(file))
    ]
    datasets = {one.name: _over(one, data) for one in declared if isinstance(one, Dataset)}
    return {
        one.name: (dataset, one)
        for one in declared
        if isinstance(one, Model) and (dataset := datasets[one.data]) is not None
    }


class Stages:
    """Carries out orders, each with a work folder of its own below `folder`."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self._folder = folder
        self._threads = threads
        self._number = itertools.count()

    def run(self, stage: ModuleType, what: Frozen) -> dict[str, Any]:
        """What a stage gives back."""
        order = self._order(what.model_dump(mode="json"))
        return dict(stage.carry_out(order, Reporter(order.work)))

    def splits(self, artifact: str) -> dict[str, pl.DataFrame]:
        """The rows of a prepared data set."""
        with unpacked(self._order({}), artifact) as data:
            return {split: _data.read(data, split) for split in _data.splits(data)}

    def _order(self, what: dict[str, Any]) -> Order:
        place = self._folder / str(next(self._number))
        places = {"work": place / "work", "state": place / "state", "cache": self._folder / "cache"}
        for one in places.values():
            one.mkdir(parents=True, exist_ok=True)
        return Order(
            run="bench", attempt=1, what=what, blobs=f"folder://{self._folder}/blobs", threads=self._threads,
            **places,
        )  # fmt: skip


def _over(dataset: Dataset, data: Path) -> Dataset | None:
    """The data set with its files where they lie; None where they do not."""
    here = {split: _here(url, data) for split, url in dataset.sources.items()}
    if None in here.values():
        return None
    return dataset.model_copy(update={"source": here.get("all", here)})


def _here(url: str, data: Path) -> str | None:
    if "://" in url:
        return url
    return next((str(path) for path in data.glob(f"*/{Path(url).name}")), None)
