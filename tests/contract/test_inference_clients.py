"""Every task answers the clients that others have written for the Open Inference Protocol: Triton's and KServe's,
from an environment of their own, since they want other versions than the hall."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from test_tasks import DATA

from modelhall import networks, tasks
from modelhall.core import plugins
from modelhall.serving.app import app_for
from modelhall.serving.batcher import Batcher
from modelhall.serving.engines.torch import TorchEngine
from modelhall.serving.model import Model
from modelhall.tasks import Task

PYTHON = Path(__file__).parents[2] / ".peers/clients/bin/python"
pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="there is no .peers/clients with kserve and tritonclient[http]"
)
Asked = dict[str, Any]


@contextmanager
def served(name: str) -> Iterator[tuple[Task, str]]:
    """A small network of the task as a replica has it, and its URL."""
    splits, network = DATA[name]
    task = tasks.fit(name, splits(), {})
    torch.manual_seed(0)
    model = Model(task, TorchEngine(task, networks.build(network, task.shape).eval()), batch=4)
    batcher = Batcher(model.answer, max_size=4, max_delay_s=0.0)
    app = app_for(name, "3f2a", model, batcher, task=name)
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield task, "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    finally:
        server.should_exit = True
        thread.join()
        batcher.close()


@pytest.fixture(scope="module")
def asked() -> Iterator[list[Asked]]:
    """A replica of each task, with a row of its own to be asked about."""
    with ExitStack() as stack:
        there = {name: stack.enter_context(served(name)) for name in plugins.names("task")}
        yield [
            {
                "url": url, "model": name, "inputs": [
                    {"name": one.name, "datatype": one.datatype, "shape": list(one.shape), "data": list(one.data)}
                    for one in task.sample().values()
                ],
            }
            for name, (task, url) in there.items()
        ]  # fmt: skip


def told_by(client: str, asked: list[Asked]) -> list[dict[str, Any]]:
    """What the clients of others are told, by output."""
    said = subprocess.run(
        [str(PYTHON), str(Path(__file__).parent / "clients_asking.py"), client], input=json.dumps(asked),
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-2000:]
    told: list[dict[str, Any]] = json.loads(said.stdout)
    return told


@pytest.mark.parametrize("client", ["triton", "triton-json", "kserve"])
def test_the_clients_of_others_are_told_what_json_says(asked: list[Asked], client: str) -> None:
    for one, told in zip(asked, told_by(client, asked), strict=True):
        answer = httpx.post(
            f"{one['url']}/v2/models/{one['model']}/infer", json={"inputs": one["inputs"]}, timeout=60
        )
        for output in answer.json()["outputs"]:
            found, expected = told[output["name"]], output["data"]
            assert found == (pytest.approx(expected) if output["datatype"] == "FP32" else expected), one[
                "model"
            ]


def test_a_tensor_that_is_no_number_is_refused_in_words_that_a_client_understands(asked: list[Asked]) -> None:
    (table,) = (one for one in asked if one["model"] == "tabular-regression")
    inputs = [
        {**one, "data": [float("nan")]} if one["datatype"].startswith("FP") else one
        for one in table["inputs"]
    ]
    ((refused,), (well,)) = (
        told_by("triton", [{**table, "inputs": given}]) for given in (inputs, table["inputs"])
    )
    assert "NaN" in refused["refused"]
    assert "refused" not in well
