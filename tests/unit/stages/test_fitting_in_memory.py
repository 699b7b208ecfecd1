"""A training that does not fit is refused before it starts, with what would do; or goes on with less at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest
import torch
from torch import nn

from modelhall import networks, tasks
from modelhall.core import plugins
from modelhall.core.errors import Failed, Rejected
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import TrainOrder
from modelhall.core.program import Order, Reporter, open_blobs
from modelhall.stages import _data, train
from modelhall.stages.train import optimizers
from modelhall.stages.train.machine.memory import Need, parts_that_fit
from modelhall.stages.train.machine.rehearsal import rehearse
from modelhall.stages.train.parts import Parts

Orders = Callable[..., Order]
MIB = 2**20


def test_what_does_not_fit_is_refused_with_the_numbers_and_what_would() -> None:
    need = Need(held=100 * MIB, row=10 * MIB)
    assert parts_that_fit(need, 40, 1, 500 * MIB, split=False) == 1
    with pytest.raises(Rejected) as raised:
        parts_that_fit(need, 64, 1, 500 * MIB, split=False, ways=("`checkpointing: true` needs less",))
    assert raised.value.message == (
        "64 rows at a time need about 0.723 GiB, and there are 0.488 GiB; "
        "`accumulate: 2` or `batch: 40` would fit, `checkpointing: true` needs less"
    )
    assert raised.value.field == "train.batch"


def test_what_is_suggested_fits() -> None:
    need = Need(held=7 * MIB, row=3 * MIB)
    for limit in range(10, 60, 7):
        parts = parts_that_fit(need, 33, 1, limit * MIB, split=True)
        assert parts_that_fit(need, 33, parts, limit * MIB, split=False) == parts
        assert need.of(need.most_rows(limit * MIB)) <= limit * MIB


def test_a_network_too_large_for_one_row_is_refused_even_where_parts_may_be_smaller() -> None:
    with pytest.raises(Rejected, match=r"even one row needs 0\.107 GiB"):
        parts_that_fit(Need(held=100 * MIB, row=10 * MIB), 64, 1, 105 * MIB, split=True)


def layers(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))


def test_a_rehearsal_tells_the_memory_and_the_arithmetic_of_more_rows_than_it_had() -> None:
    network, width, places = layers(32), 32, 100

    def backward(rows: Any) -> None:
        network(torch.ones(len(rows), places, width)).square().mean().backward()

    found = rehearse(network, backward, np.full(50, places))
    weights = 2 * width * 4 * width
    # Two operations a weight on the way forward and four back, but for the gradient of the rows themselves.
    assert found.flop_of(np.array([places])) == pytest.approx((6 * weights - 2 * weights / 2) * places)
    # Rows, what is between the layers before and after the activation, and what goes in and out of the loss.
    least = (1 + 4 + 4 + 1) * width * places * 4
    assert least <= found.row_bytes <= 2 * least


def test_a_rehearsal_leaves_all_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    rehearse(network, lambda rows: network(torch.randn(len(rows), 4)).sum().backward(), np.ones(5, int))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_longer_rows_are_known_to_take_more_for_each_of_their_places() -> None:
    """As where every place looks at every other."""
    network, lengths = nn.Linear(8, 8), np.array([10, 20, 40])

    def backward(rows: Any) -> None:
        told = network(torch.ones(len(rows), int(lengths[rows[0]]), 8))
        (told @ told.transpose(1, 2)).sum().backward()

    found = rehearse(network, backward, lengths)
    assert found.flop_of(np.array([40])) > 2.5 * found.flop_of(np.array([20]))


def exhausted() -> None:
    torch.empty(1 << 60)


def test_memory_that_is_exhausted_halves_the_parts_until_they_fit() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5))
    seen: list[int] = []

    def backward(rows: np.ndarray) -> float:
        seen.append(len(rows))
        network(torch.ones(len(rows), 1)).sum().backward()
        if len(rows) > 3:
            exhausted()
        return float(rows.sum())

    parts = Parts(network, 1, split=True)
    random = torch.get_rng_state()
    assert parts.over(np.arange(12), backward) == 66
    assert (parts.number, seen) == (4, [12, 6, 3, 3, 3, 3])
    found = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    # What the tries that failed had drawn and added up is gone.
    torch.set_rng_state(random)
    network.zero_grad()
    Parts(network, 4, split=False).over(np.arange(12), backward)
    assert all(torch.equal(a, b.grad) for a, b in zip(found, network.parameters(), strict=True))


def test_memory_that_is_exhausted_stops_a_training_with_what_would_do() -> None:
    with pytest.raises(Failed, match="no memory left for 6 rows at a time; a larger `accumulate`"):
        Parts(nn.Linear(1, 1), 2, split=False).over(np.arange(12), lambda rows: exhausted() or 0.0)  # type: ignore[func-returns-value]
    with pytest.raises(Failed, match="for 1 rows at a time"):
        Parts(nn.Linear(1, 1), 1, split=True).over(np.arange(3), lambda rows: exhausted() or 0.0)  # type: ignore[func-returns-value]


def test_other_errors_are_not_taken_for_a_want_of_memory() -> None:
    def wrong(rows: np.ndarray) -> float:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Parts(nn.Linear(1, 1), 1, split=True).over(np.arange(3), wrong)


@pytest.mark.parametrize("name", plugins.names("optimizer"))
def test_optimizers_remember_no_more_than_they_say(name: str) -> None:
    network = layers(32)
    optimizer = optimizers.make(network, Train(optimizer=Choice(name=name)))
    network(torch.ones(2, 32)).sum().backward()
    optimizer.step()
    held = sum(value.numel() for state in optimizer.state.values() for value in state.values())
    weights = sum(parameter.numel() for parameter in network.parameters())
    said = plugins.constant("optimizer", name, "REMEMBERS")
    assert said - 1 < held / weights < said + 0.1


@pytest.fixture
def asked(order: Orders, tmp_path: Path) -> Callable[..., Order]:
    """Orders over a table of two columns."""
    points = np.random.default_rng(0).normal(size=(64, 2))
    frame = pl.DataFrame({"x": points[:, 0], "y": points[:, 1], "label": points[:, 0] > points[:, 1]})
    folder = tmp_path / "splits"
    folder.mkdir()
    frame.write_parquet(folder / _data.name("train", 0, 1))
    data = open_blobs(order({})).put_folder(folder)

    def make(run: str, memory_bytes: int | None, **changes: Any) -> Order:
        what = TrainOrder(
            task="tabular-classification",
            columns={},
            network=Network(family="mlp", hidden=[64]),
            train=Train(epochs=1, batch=64, **changes),
            data=data,
        )
        return order(what, run=run).model_copy(update={"memory_bytes": memory_bytes})

    return make


def test_a_training_is_refused_for_the_limit_of_its_run(asked: Callable[..., Order]) -> None:
    made = asked("small", psutil.Process().memory_info().rss)
    with pytest.raises(Rejected, match="GiB") as raised:
        train.carry_out(made, Reporter(made.work))
    assert raised.value.field == "train.batch"


def test_a_training_that_fits_is_not(asked: Callable[..., Order]) -> None:
    made = asked("large", 64 << 30)
    assert train.carry_out(made, Reporter(made.work))["steps"] == 1


def test_the_scores_of_a_vocabulary_are_told_of_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that fits is not ended by its validation."""
    frame = pl.DataFrame({"text": ["the cat sat on a mat and saw it " * 8] * 30})
    task = tasks.fit("text-generation", {"train": frame}, {}, length=16)
    network = networks.build(Network(family="llama", hidden=16, layers=1, heads=2), task.shape).eval()
    examples = task.examples("train", frame)
    seen: list[int] = []
    network.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(len(inputs["input_ids"])), with_kwargs=True
    )
    whole = tasks.predict(task, network, examples, batch=256)
    assert max(seen) > 3
    seen.clear()
    monkeypatch.setattr(tasks, "MOST_SCORES_BYTES", 3 * 16 * task.shape.sizes["vocabulary"] * 4)
    few = tasks.predict(task, network, examples, batch=256)
    assert max(seen) == 3
    np.testing.assert_allclose(few.scores, whole.scores, atol=1e-5)


def test_what_would_go_beyond_the_limit_is_refused_by_malloc() -> None:
    """In a process of its own, which is under that limit for good."""
    program = """
import psutil
from modelhall.stages.train.machine.allocation import refuse_beyond
refuse_beyond(psutil.Process().memory_info().rss + (200 << 20))
held = bytearray(50 << 20)
try:
    bytearray(400 << 20)
except MemoryError:
    print("refused")
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ended.stdout == "refused\n"
