"""What a step reads beside the rows is a source like the data set's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhall.core import dataset_sources
from modelhall.core.hallfile import anchored, parse
from modelhall.core.kinds import Dataset, Key
from modelhall.core.kinds.dataset import SourceFile, Step
from modelhall.core.orders import PrepareOrder
from modelhall.core.references import references

HALL_FILE = """
kind: dataset
name: stays
source: {train: stays.csv, test: https://h.example/b.csv}
prepare:
  - join: {source: guests.csv, by: guest}
  - join: {source: dataset://towns, by: town}
  - map: {file: steps/own.py}
  - tokenize: {file: /abs/tokenizer.json, column: text}
  - clean: {columns: [source]}
  - no-such-step: {file: x}
"""


def dataset(*steps: Step) -> Dataset:
    return Dataset(name="d", source="a.csv", prepare=steps)


def a_join(source: str, **options: object) -> Step:
    return Step(name="join", options={"source": source, "by": "id", **options})


def test_relative_paths_in_steps_are_taken_from_where_the_hall_file_lies(tmp_path: Path) -> None:
    (declared,) = parse(HALL_FILE, "my.yaml")
    moved = anchored(declared, tmp_path).document
    assert isinstance(moved, Dataset)
    assert dataset_sources.sources(moved) == {
        "source.train": f"{tmp_path}/stays.csv",
        "source.test": "https://h.example/b.csv",
        "prepare.0.join.source": f"{tmp_path}/guests.csv",
        "prepare.1.join.source": "dataset://towns",
        "prepare.2.map.file": f"{tmp_path}/steps/own.py",
        "prepare.3.tokenize.file": "/abs/tokenizer.json",
    }
    assert moved.prepare[4:] == declared.document.prepare[4:]  # type: ignore[attr-defined]


def test_a_data_set_that_is_joined_is_named_like_one_that_is_the_source() -> None:
    (declared,) = parse(HALL_FILE, "my.yaml")
    assert references(declared.document) == {"prepare.1.join.source": Key("dataset", "default", "towns")}


@pytest.mark.parametrize("own", ["a.csv", "dataset://b"])
def test_a_source_that_is_one_stays_one(own: str) -> None:
    document = Dataset(name="d", source=own, prepare=(a_join("c.csv"),))
    changed = dataset_sources.with_sources(document, {"source": "z.csv", "prepare.0.join.source": "y.csv"})
    assert changed == Dataset(name="d", source="z.csv", prepare=(a_join("y.csv"),))


def test_what_is_joined_is_part_of_the_identity_by_content_and_not_by_place() -> None:
    own = (SourceFile(path="a", digest="1" * 64, size_bytes=1),)

    def version(source: str, digest: str, **options: object) -> str:
        order = PrepareOrder.of(dataset(a_join(source, **options)))
        found = SourceFile(path=source, digest=digest, size_bytes=1)
        return order.version(own, {"prepare.0.join.source": (found,)})

    first = version("b.csv", "2" * 64)
    assert version("/elsewhere/b.csv", "2" * 64) == first
    assert len({first, version("b.csv", "3" * 64), version("b.csv", "2" * 64, kind="left")}) == 3


def test_files_of_a_step_and_of_the_source_are_told_apart() -> None:
    one, two = (SourceFile(path="a", digest=digit * 64, size_bytes=1) for digit in "12")
    order = PrepareOrder.of(dataset(a_join("b.csv")))
    assert order.version((one, two), {"prepare.0.join.source": (two,)}) != order.version(
        (one,), {"prepare.0.join.source": (two, two)}
    )
