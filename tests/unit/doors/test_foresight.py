"""What declared work will take is told before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from a_hall import ask

from modelhall.app.hall import Hall
from modelhall.core.kinds import Model, Run
from modelhall.core.kinds.model import ModelResource, ModelStatus, ModelVersion, Network
from modelhall.core.kinds.run import Attempt, Exit, RunResource, RunStatus, Stage
from modelhall.core.ports.book import Entry
from modelhall.core.ports.store import Put
from modelhall.doors.cli.declare import _price

DATA = {"kind": "dataset", "name": "digits", "source": "package://sklearn/datasets/data/digits.csv.gz"}
DIGITS = {
    "kind": "model", "name": "digits", "task": "image-classification", "data": "digits", "network": {"family": "cnn"},
    "train": {"epochs": 4},
}  # fmt: skip
OLD = ModelVersion(
    id="a" * 64, artifact="a", accepted=True, metrics={}, size_bytes=1, parameters=1, task="image-classification",
    data="digits@1", train_run="letters-train", evaluate_run="e", created_at=50,
)  # fmt: skip


async def _trained_before(hall: Hall) -> None:
    """Another model of the same family was trained over two epochs, and that is paid for."""
    letters = Model(
        name="letters", task="image-classification", data="letters", network=Network(family="cnn")
    )
    stage = Stage(program="train", order={"train": {"epochs": 2}})
    attempt = Attempt(number=1, node="local", started_at=10, exit=Exit(code=0, ended_at=40))
    model = ModelResource(
        uid="m", document=letters, status=ModelStatus(versions=(OLD,)), created_at=0, updated_at=0
    )
    run = RunResource(
        uid="r", document=Run(name="letters-train", stage=stage), created_at=0, updated_at=0,
        status=RunStatus(state="succeeded", attempt=1, attempts=(attempt,)),
    )  # fmt: skip
    await hall.store.commit([Put(resource=model), Put(resource=run)])
    paid = Entry(
        id="e", at=40, project="default", debit="run/default/letters-train", credit="node/default/local",
        run=run.key.path, energy_j=100.0, cost_nano=5000,
    )  # fmt: skip
    await hall.accounts._book.append(entries=[paid])


async def _dry(client: httpx.AsyncClient, *documents: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """What each of these would take, by name and kind."""
    answer = await client.post("/api/v1/apply", json={"documents": documents, "dry_run": True})
    return {(one["name"], one["kind"]): one["expected"] for one in answer.json()["outcomes"]}


def test_a_model_is_told_by_the_newest_training_like_it_and_its_epochs(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        assert (await _dry(client, DATA, DIGITS))["digits", "model"] is None
        await _trained_before(hall)
        told = await _dry(client, DATA, DIGITS)
        assert told["digits", "dataset"] is None
        expected = told["digits", "model"]
        assert (expected["like"], expected["duration_s"]) == ("letters-train", 60)
        assert (expected["energy_j"], expected["cost_nano"]) == (200, 10_000)
        other = await _dry(client, DATA, DIGITS | {"network": {"family": "mlp"}})
        assert other["digits", "model"] is None, "what another family takes says nothing"

    ask(tmp_path, play)


def test_a_service_is_told_by_what_its_replicas_cost_while_nobody_asks(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        service = {"kind": "service", "name": "digits", "model": "digits", "replicas": 2}
        held = service | {"resources": {"cpus": 2}}
        told = await _dry(client, DATA, DIGITS, held)
        expected = told["digits", "service"]
        assert (expected["like"], expected["duration_s"]) == (None, 3600)
        assert expected["energy_j"] == pytest.approx(hall.accounts.of_holding(1, 0, "", 3600).energy_j * 4)
        assert expected["cost_nano"] > 0
        dear = service | {"resources": {"cpus": 2, "gpus": 0.5}}
        with_gpus = (await _dry(client, DATA, DIGITS, dear))["digits", "service"]
        hour_nano = hall.settings.price_per_gpu_hour * 1e9
        assert with_gpus["cost_nano"] - expected["cost_nano"] == pytest.approx(hour_nano, abs=1)
        assert (await _dry(client, DATA, DIGITS, service))["digits", "service"] is None, "it holds nothing"

    ask(tmp_path, play)


def test_what_is_expected_is_said_in_one_line() -> None:
    expected = {"duration_s": 90.0, "energy_j": 2000.0, "cost_nano": 5_000_000, "currency": "EUR"}
    said = _price({**expected, "like": "letters-train"})
    assert said == "about 1 min 30 s, 0.0050000 EUR, ~2.00 kJ, as run letters-train took"
    said = _price({**expected, "like": None})
    assert said == "an hour in which nobody asks costs 0.0050000 EUR, ~2.00 kJ"
