"""`label-by-model`: what a model of the hall says of rows becomes their label."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelhall import networks, tasks
from modelhall.core.errors import Rejected
from modelhall.core.program import Order, unpacked
from modelhall.tasks import Tensor

Orders = Callable[..., Order]
Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]
REVIEWS = ["the room was fine", "the room was dirty", "fine", "dirty", "the room"]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    truth = ["good", "bad", "good", "good", ""]
    pl.DataFrame({"review": REVIEWS, "known": truth}).write_csv(path)
    return path


def by(artifact: str, **options: Any) -> dict[str, Any]:
    url = f"model://verdicts@{artifact}/text-classification"
    return {"label-by-model": {"by": url, "columns": {"text": "review"}, "into": "verdict", **options}}


def answers(order: Orders, artifact: str) -> list[tuple[str, float]]:
    """What a replica of the model would say of the reviews."""
    with unpacked(order({}, run="asking"), artifact) as folder:
        task, network = tasks.load("text-classification", folder), networks.load(folder)
    asked = {"text": Tensor(name="text", datatype="BYTES", shape=(len(REVIEWS),), data=REVIEWS)}
    label, score, _ = task.answer(tasks.predict(task, network, task.read(asked), batch=2))
    return list(zip(label.data, score.data, strict=True))


def test_labels_are_those_that_its_service_would_answer(
    order: Orders, prepared: Prepared, reviews: Path, verdicts: str
) -> None:
    output, splits = prepared(source=str(reviews), prepare=[by(verdicts, confidence="sure")])
    told = answers(order, verdicts)
    assert splits["train"]["verdict"].to_list() == [label for label, _ in told]
    assert splits["train"]["sure"].to_list() == pytest.approx([score for _, score in told], abs=1e-5)
    assert [label for label, _ in told[:2]] == ["good", "bad"]
    (model,) = [source for source in output["sources"] if source["path"].startswith("model://")]
    assert model["digest"] == verdicts


def test_what_is_unsure_goes_or_stays_empty_and_is_counted_against_the_truth(
    order: Orders, prepared: Prepared, reviews: Path, verdicts: str
) -> None:
    told = answers(order, verdicts)
    border = sorted(score for _, score in told)[2]
    sure = [label if score >= border else None for label, score in told]
    _, dropped = prepared(source=str(reviews), prepare=[by(verdicts, min_confidence=border - 1e-5)])
    assert dropped["train"]["verdict"].to_list() == [label for label in sure if label is not None]
    again = by(verdicts, min_confidence=border - 1e-5, unsure="empty", gold="known")
    output, kept = prepared(source=str(reviews), prepare=[again], attempt=2)
    assert kept["train"]["verdict"].to_list() == sure
    with unpacked(order({}, run="looking"), output["artifact"]) as folder:
        record = json.loads((folder / "dataset.json").read_text())
    known = dict(zip(REVIEWS, ["good", "bad", "good", "good"], strict=False))
    both = [
        (label, known[text]) for label, text in zip(sure, REVIEWS, strict=True) if label and text in known
    ]
    counted = record["steps"][0]["counts"]["all"]["the model"]
    assert counted == {
        "rows": 5, "labelled": 3, "gold": len(both), "gold_right": sum(label == truth for label, truth in both),
    }  # fmt: skip


def test_two_processes_make_the_same_version_as_one(prepared: Prepared, reviews: Path, verdicts: str) -> None:
    step = by(verdicts)
    one, _ = prepared(source=str(reviews), prepare=[step])
    two, _ = prepared(source=str(reviews), prepare=[step], threads=2, attempt=2)
    assert (one["version"], one["artifact"]) == (two["version"], two["artifact"])


@pytest.mark.parametrize(
    ("options", "says", "field"),
    [
        ({"columns": {"text": "revue"}}, "no column 'revue'", "columns"),
        ({"into": "known"}, "there is a column 'known'", "into"),
        ({"gold": "truth"}, "no column 'truth'", "gold"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    prepared: Prepared, reviews: Path, verdicts: str, options: dict[str, Any], says: str, field: str
) -> None:
    with pytest.raises(Rejected, match=says) as raised:
        prepared(source=str(reviews), prepare=[by(verdicts, **options)])
    assert raised.value.field == f"prepare.0.label-by-model.{field}"
