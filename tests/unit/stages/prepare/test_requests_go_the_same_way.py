"""A request goes through the steps its model was trained behind: the same columns come out, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import _data, prepare
from modelhall.stages.train.requests import FILE, preparation
from modelhall.tasks import Tensor
from modelhall.tasks._preparation import Preparation

Orders = Callable[..., Order]
SPLIT = {"split": {"seed": 2, "validation": 0.2, "test": 0.3, "train": 0.5}}
TABLE = [
    {"deduplicate": {"columns": ["id"]}},
    SPLIT,
    {"missing": {"columns": ["size", "age"], "fill": "mean"}},
    {"outliers": {"columns": ["size"], "action": "clip"}},
    {"normalize": {"columns": ["size"], "to": "robust"}},
    {"bucket": {"column": "age", "count": 3}},
    {"encode": {"columns": ["colour"], "by": "frequency"}},
    {"rename": {"columns": {"colour": "share"}}},
    {"derive": {"columns": {"size": "size * 2 + share"}}},
    {"shuffle": {"seed": 1}},
]
TEXT = [{"clean": {"strip_html": True, "unicode": "nfkc", "drop_empty": True}}, {"redact": {}}, SPLIT]


def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "size": None if number % 11 == 3 else float(number * number % 101),
            "age": number % 37,
            "colour": ("red", "green", "blue")[number % 5 % 3],
            "body": f"<b>Ｎｏ {number}</b>  write to a{number}@example.org",
            "label": number % 2,
        }
        for number in range(120)
    ]


def prepared(order: Orders, tmp_path: Path, steps: list[Any]) -> tuple[dict[str, pl.DataFrame], list[Any]]:
    """The splits of a version, and what dataset.json tells of its steps."""
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    made = order({"source": str(source), "format": {}, "prepare": steps, "max_damaged": 0.0})
    artifact = prepare.carry_out(made, Reporter(made.work))["artifact"]
    with unpacked(made, artifact) as folder:
        return {split: _data.read(folder, split) for split in _data.splits(folder)}, _data.steps(folder)


def replica(folder: Path, steps: list[Any], columns: Mapping[str, str]) -> Preparation:
    files.write_json(folder / FILE, preparation(steps, columns))
    return Preparation(folder)


def asked(part: str, values: list[Any], datatype: str = "FP64") -> Tensor:
    return Tensor(name=part, datatype=datatype, shape=(len(values),), data=values)


def test_numbers_and_categories_of_a_request_come_out_as_in_the_training_rows(
    order: Orders, tmp_path: Path
) -> None:
    splits, steps = prepared(order, tmp_path, TABLE)
    columns = {"size": "size", "age": "age", "colour": "share"}
    made = replica(tmp_path, steps, columns)
    raw = {row["id"]: row for row in rows()}
    for frame in splits.values():
        sent = [raw[number] for number in frame["id"]]
        inputs = {part: asked(part, [row[part] for row in sent]) for part in columns}
        given = made.apply(inputs)
        for part, column in columns.items():
            assert list(given[part].data) == frame[column].to_list()


def test_each_row_comes_out_the_same_alone_as_with_others(order: Orders, tmp_path: Path) -> None:
    _, steps = prepared(order, tmp_path, TABLE)
    made = replica(tmp_path, steps, {"size": "size", "colour": "share"})
    sent = rows()[:10]
    together = made.apply({part: asked(part, [row[part] for row in sent]) for part in ("size", "colour")})
    alone = [made.apply({part: asked(part, [row[part]]) for part in ("size", "colour")}) for row in sent]
    assert list(together["size"].data) == [one["size"].data[0] for one in alone]


def test_texts_of_a_request_are_cleaned_as_the_training_rows_were(order: Orders, tmp_path: Path) -> None:
    splits, steps = prepared(order, tmp_path, TEXT)
    made = replica(tmp_path, steps, {"text": "body"})
    raw = {row["id"]: row["body"] for row in rows()}
    for frame in splits.values():
        given = made.apply({"text": asked("text", [raw[number] for number in frame["id"]], "BYTES")})
        assert list(given["text"].data) == frame["body"].to_list()
        assert given["text"].data[0].endswith("[email]")


def test_a_request_that_a_step_would_drop_is_answered_all_the_same(order: Orders, tmp_path: Path) -> None:
    _, steps = prepared(order, tmp_path, TEXT)
    made = replica(tmp_path, steps, {"text": "body"})
    assert made.apply({"text": asked("text", ["<b></b>"], "BYTES")})["text"].data == [""]


def test_a_value_of_another_type_is_refused_by_name(order: Orders, tmp_path: Path) -> None:
    _, steps = prepared(order, tmp_path, TEXT)
    made = replica(tmp_path, steps, {"text": "body"})
    with pytest.raises(Rejected, match="text is not what the model was trained on") as raised:
        made.apply({"text": asked("text", [3], "BYTES")})
    assert raised.value.field == "inputs.text"


def test_a_column_that_a_step_makes_is_sent_as_it_is_made() -> None:
    steps = [
        {"name": "pixels", "options": {}, "fitted": None, "before": {"p1": "int64"}},
        {"name": "split", "options": {}, "fitted": None, "before": {"image": "binary"}},
    ]
    assert preparation(steps, {"image": "image"}) is None
