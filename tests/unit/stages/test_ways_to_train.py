"""Packing, checkpointing, precision and parts: other ways to the same weights, or as near to them as they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn import functional

from modelhall import networks, tasks
from modelhall.core.errors import Failed, Rejected
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import TrainOrder
from modelhall.core.program import Order, Reporter, open_blobs
from modelhall.stages import _data, train
from modelhall.stages.train import packing

Orders = Callable[..., Order]
LLAMA = Network(family="llama", hidden=16, layers=2, heads=2, positions=24)
BERT = Network(family="bert", hidden=16, layers=2, heads=2, dropout=0.1, positions=24)


def texts(number: int) -> pl.DataFrame:
    """Of unequal length, some longer than a network reads."""
    chance = np.random.default_rng(0)
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "it"]
    return pl.DataFrame(
        {"text": [" ".join(chance.choice(words, size)) for size in chance.integers(1, 40, number)]}
    )


@pytest.fixture
def run(order: Orders, tmp_path: Path) -> Callable[..., tuple[dict[str, Any], list[dict[str, float]]]]:
    """Trains on texts; the result and what was told on the way."""

    def trained(name: str, task: str = "text-generation", network: Network = LLAMA, **changes: Any) -> Any:
        folder = tmp_path / "splits"
        folder.mkdir(exist_ok=True)
        frame = texts(60).with_columns(label=pl.col("text").str.len_chars() > 60)
        frame.write_parquet(folder / _data.name("train", 0, 1))
        what = TrainOrder(
            task=task,
            columns={},
            network=network,
            train=Train(**{"epochs": 2, "batch": 12, "seed": 3, **changes}),
            data=open_blobs(order({})).put_folder(folder),
        )
        made = order(what, run=name)
        output = dict(train.carry_out(made, Reporter(made.work)))
        lines = (made.work / "metrics.jsonl").read_text().splitlines()
        return output, [json.loads(line) for line in lines]

    return trained


@pytest.mark.parametrize(("task", "network"), [("text-generation", LLAMA), ("fill-mask", BERT)])
def test_activations_computed_again_make_the_same_weights_to_the_bit(
    run: Any, task: str, network: Network
) -> None:
    kept, _ = run("kept", task, network)
    again, _ = run("again", task, network, checkpointing=True)
    assert again["artifact"] == kept["artifact"]


def test_activations_of_a_network_without_layers_in_a_row_are_not_computed_again(run: Any) -> None:
    rnn = Network(family="rnn", hidden=16)
    with pytest.raises(Rejected, match="no row of layers") as raised:
        run("none", "text-classification", rnn, checkpointing=True)
    assert raised.value.field == "train.checkpointing"


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_loss_of_packed_texts_is_that_of_the_separate_ones(family: str) -> None:
    frame = texts(40)
    task = tasks.fit("text-generation", {"train": frame}, {}, length=24)
    torch.manual_seed(0)
    network = networks.build(Network(family=family, hidden=16, layers=2, heads=2), task.shape).eval()
    examples = packing.documents(task, "text-generation", "train", frame)
    assert isinstance(task, tasks.Packs)
    assert examples.lengths is not None
    rows = range(20)
    packed = task.packed(examples, rows)
    assert packed["input_ids"].shape[0] < len(rows)
    together = task.loss(network, packed, functional.cross_entropy)
    together.backward()  # type: ignore[no-untyped-call]
    found = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    total, lengths = 0.0, [examples.lengths[row] for row in rows]
    for row, length in zip(rows, lengths, strict=True):
        loss = task.loss(network, task.batch(examples, [row]), functional.cross_entropy) * (
            length / sum(lengths)
        )
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    assert together.item() == pytest.approx(total, rel=1e-5)
    separate = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, separate, strict=True))


def test_packed_documents_hold_every_token_once() -> None:
    frame = texts(40)
    task = tasks.fit("text-generation", {"train": frame}, {}, length=24)
    examples = packing.documents(task, "text-generation", "train", frame)
    assert examples.truth is not None
    joined = task.examples("train", frame)
    assert sum(map(len, examples.truth)) >= sum(map(len, joined.truth or ()))
    assert max(examples.lengths or ()) == 24


@pytest.mark.parametrize(("task", "network"), [("text-generation", LLAMA), ("fill-mask", BERT)])
def test_packed_texts_are_learnt_from(run: Any, task: str, network: Network) -> None:
    _, told = run("packed", task, network, packing=True, epochs=8, learning_rate=1e-2)
    losses = [line["loss"] for line in told if "loss" in line]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5


@pytest.mark.parametrize(
    ("task", "family", "why"),
    [
        ("text-classification", "bert", "nothing that could stand side by side"),
        ("text-generation", "rnn", "does not take what keeps them apart"),
        # Counts its places from another number than 0.
        ("fill-mask", "roberta", "differs by"),
    ],
)
def test_packing_is_refused_where_texts_would_not_be_kept_apart(
    run: Any, task: str, family: str, why: str
) -> None:
    sizes = {"hidden": 16} if family == "rnn" else {"hidden": 16, "layers": 1, "heads": 2, "positions": 24}
    with pytest.raises(Rejected, match=why) as raised:
        run("refused", task, Network(family=family, **sizes), packing=True)
    assert raised.value.field == "train.packing"


def test_bfloat16_is_told_in_the_result_and_comes_close(run: Any) -> None:
    full, exact = run("full", precision="float32")
    half, coarse = run("half", precision="bfloat16")
    assert (full["precision"], half["precision"]) == ("float32", "bfloat16")
    assert half["artifact"] != full["artifact"]
    losses = [[line["loss"] for line in told if "loss" in line] for told in (exact, coarse)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_a_training_tells_its_tempo(run: Any) -> None:
    _, told = run("tempo")
    figures = [line for line in told if "tokens_per_s" in line]
    assert figures
    assert all(line["gflop_per_s"] > 0 and 0 < line["peak_share"] < 1 for line in figures)
    assert {line["parts"] for line in figures} == {1}


def test_a_training_that_diverges_is_stopped_and_explained(run: Any) -> None:
    with pytest.raises(Failed, match=r"has diverged: .* a learning rate below 3") as raised:
        run(
            "wild",
            epochs=60,
            optimizer=Choice(name="sgd"),
            learning_rate=3.0,
            schedule={"linear": {"to": 40.0}},
            warmup=0.0,
            clip=1.0,
        )
    assert raised.value.field == "train.learning_rate"
