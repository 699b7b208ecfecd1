"""What every task promises: a task in the folder without data here fails, so that it gets some."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from modelhall import networks, tasks
from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Network
from modelhall.stages.train import losses

Splits = dict[str, pl.DataFrame]


def pictures() -> Splits:
    """Bright pictures and dark ones."""

    def some(rows: int) -> pl.DataFrame:
        data = []
        for row in range(rows):
            buffer = io.BytesIO()
            Image.fromarray(np.full((8, 6), 200 * (row % 2) + row, np.uint8)).save(buffer, format="PNG")
            data.append(buffer.getvalue())
        return pl.DataFrame({"image": data, "label": [("dark", "bright")[row % 2] for row in range(rows)]})

    return {"train": some(24), "validation": some(6), "test": some(7)}


def texts() -> Splits:
    words = [
        ("这家酒店很好", 1),
        ("terrible, never again", 0),
        ("lovely staff and rooms", 1),
        ("房间太脏了", 0),
    ]

    def some(rows: int) -> pl.DataFrame:
        chosen = [words[row % 4] for row in range(rows)]
        return pl.DataFrame({"text": [text for text, _ in chosen], "label": [label for _, label in chosen]})

    return {"train": some(24), "validation": some(6), "test": some(7)}


def prose() -> Splits:
    """More than one sequence, in every split."""

    def some(rows: int) -> pl.DataFrame:
        words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "猫"]
        said = [" ".join(words[(row * 7 + place * place) % 9] for place in range(300)) for row in range(rows)]
        return pl.DataFrame({"text": said})

    return {"train": some(24), "validation": some(6), "test": some(7)}


def pairs() -> Splits:
    """Texts and what belongs to them."""
    words = ["cat", "dog", "house", "tree", "river", "bell", "rope", "tide"]

    def some(rows: int) -> pl.DataFrame:
        said = [f"the {words[row % 8]} {words[row // 8]}" for row in range(rows)]
        return pl.DataFrame({"anchor": said, "positive": [f"{text} 是 {len(text)}" for text in said]})

    return {"train": some(24), "validation": some(6), "test": some(7)}


def talks() -> Splits:
    """The same texts as a first and a second one."""
    names = {"anchor": "text", "positive": "next"}
    return {split: frame.rename(names) for split, frame in pairs().items()}


def rows(target: str, values: list[object]) -> Splits:
    def some(rows: int) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "rooms": [float(row % 5) for row in range(rows)],
                "built": [1900 + row for row in range(rows)],
                "sort": ["flat" if row % 3 else "house" for row in range(rows)],
                target: [values[row % 2] for row in range(rows)],
            }
        )

    return {"train": some(24), "validation": some(6), "test": some(7)}


DATA: dict[str, tuple[Callable[[], Splits], Network]] = {
    "embedding": (pairs, Network(family="bert", hidden=16, layers=1, heads=2)),
    "fill-mask": (texts, Network(family="bert", hidden=16, layers=1, heads=2)),
    "image-classification": (pictures, Network(family="cnn", channels=[4], hidden=8)),
    "next-sentence": (talks, Network(family="bert", hidden=16, layers=1, heads=2)),
    "tabular-classification": (lambda: rows("label", ["cheap", "dear"]), Network(family="mlp", hidden=[8])),
    "tabular-regression": (lambda: rows("target", [1.5, 7]), Network(family="linear")),
    "text-generation": (prose, Network(family="llama", hidden=16, layers=1, heads=2)),
    "text-classification": (texts, Network(family="bert", hidden=16, layers=1, heads=2)),
}


@pytest.fixture(params=plugins.names("task"))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def splits(name: str) -> Splits:
    return DATA[name][0]()


@pytest.fixture
def task(name: str, splits: Splits) -> tasks.Task:
    return tasks.fit(name, splits, {})


@pytest.fixture
def network(name: str, task: tasks.Task) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build(DATA[name][1], task.shape)


def test_a_batch_has_losses_whose_gradients_reach_the_network(
    name: str, task: tasks.Task, network: torch.nn.Module, splits: Splits
) -> None:
    examples = task.examples("train", splits["train"])
    assert len(examples) >= 8
    for loss_name in tasks.losses_for(name, task):
        network.zero_grad()
        criterion = losses.make(Choice(name=loss_name), task.shape.labels, examples.truth or ())
        loss = task.loss(network, task.batch(examples, [3, 0, 7]), criterion)
        loss.backward()
        assert torch.isfinite(loss)
        assert sum(p.grad.abs().sum().item() for p in network.parameters() if p.grad is not None) > 0


def test_predictions_are_the_same_in_any_batch_size(
    task: tasks.Task, network: torch.nn.Module, splits: Splits
) -> None:
    network.eval()
    examples = task.examples("test", splits["test"])
    one, all_at_once = (tasks.predict(task, network, examples, batch=size) for size in (1, 100))
    assert list(one.predicted) == list(all_at_once.predicted)
    np.testing.assert_allclose(one.scores, all_at_once.scores, atol=1e-5)
    assert one.truth is not None
    assert len(one.truth) == len(examples) == len(one.predicted) > 1


def test_a_stored_task_and_network_answer_as_before(
    name: str, task: tasks.Task, network: torch.nn.Module, tmp_path: Path
) -> None:
    networks.save(network, DATA[name][1], task.shape, tmp_path)
    task.save(tmp_path)
    again, loaded = tasks.load(name, tmp_path), networks.load(tmp_path)
    examples = task.read(task.sample())
    before = tasks.predict(task, network.eval(), examples, batch=8)
    after = tasks.predict(again, loaded, again.read(again.sample()), batch=8)
    assert task.answer(before) == again.answer(after)
    assert again.shape == task.shape
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors"}


def test_an_answer_is_what_was_announced_and_can_be_written_as_json(
    task: tasks.Task, network: torch.nn.Module
) -> None:
    answer = task.answer(tasks.predict(task, network.eval(), task.read(task.sample()), batch=8))
    assert [out.name for out in answer] == [out.name for out in task.outputs]
    for given, announced in zip(answer, task.outputs, strict=True):
        assert given.datatype == announced.datatype
        assert all(want in (-1, have) for want, have in zip(announced.shape, given.shape, strict=True))
        json.dumps(given.data, allow_nan=False)


def test_requests_joined_in_a_batch_get_their_own_answers(task: tasks.Task, network: torch.nn.Module) -> None:
    parts = [task.read(task.sample()) for _ in range(3)]
    together = tasks.predict(task, network.eval(), tasks.Examples.join(parts), batch=8)
    alone = tasks.predict(task, network.eval(), parts[0], batch=8)
    np.testing.assert_allclose(together.rows(2, 3).scores, alone.scores, atol=1e-5)


def test_fitting_looks_at_the_training_split_alone(name: str, splits: Splits, tmp_path: Path) -> None:
    for folder, given in (("all", splits), ("train", {"train": splits["train"]})):
        (tmp_path / folder).mkdir()
        tasks.fit(name, given, {}).save(tmp_path / folder)
    for path in (tmp_path / "all").iterdir():
        assert path.read_bytes() == (tmp_path / "train" / path.name).read_bytes()


def test_a_missing_column_is_rejected_with_the_columns_there_are(name: str, splits: Splits) -> None:
    part = next(iter(plugins.load("task", name).COLUMNS))
    renamed = {split: frame.rename({part: "something"}) for split, frame in splits.items()}
    with pytest.raises(Rejected, match="something") as raised:
        tasks.fit(name, renamed, {})
    assert raised.value.field == f"columns.{part}"
    tasks.fit(name, renamed, {part: "something"})


def test_a_part_the_task_does_not_have_is_rejected(name: str, splits: Splits) -> None:
    with pytest.raises(Rejected, match="colour") as raised:
        tasks.fit(name, splits, {"colour": "x"})
    assert raised.value.field == "columns.colour"


def test_data_without_a_training_split_is_rejected(name: str, splits: Splits) -> None:
    with pytest.raises(Rejected, match="train"):
        tasks.fit(name, {"test": splits["test"]}, {})
