"""Every task answers the clients that others have written for the Open Inference Protocol: Triton's, and KServe's
from an environment of its own, since it wants other versions than the hall."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
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
from modelhall.tasks import BASE64, Task, Tensor

triton = pytest.importorskip("tritonclient.http", reason="the client of Triton is not installed")

KSERVE = Path(__file__).parents[2] / ".peers/clients/bin/python"
TASKS = plugins.names("task")
NUMBERS = {"FP32": "f4", "FP64": "f8", "INT32": "i4", "INT64": "i8", "BOOL": "?"}


@contextmanager
def served(name: str) -> Iterator[tuple[Task, str]]:
    """A small network of the task as a replica has it, and its address."""
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
        yield task, "{}:{}".format(*server.servers[0].sockets[0].getsockname())
    finally:
        server.should_exit = True
        thread.join()
        batcher.close()


@pytest.fixture(scope="module")
def replicas() -> Iterator[dict[str, tuple[Task, str]]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(served(name)) for name in TASKS}


@pytest.fixture(params=TASKS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def in_json(task: Task, address: str, name: str) -> dict[str, Any]:
    """What the replica answers to the task's own sample in JSON: the outputs by name."""
    inputs = [
        {"name": one.name, "datatype": one.datatype, "shape": list(one.shape), "data": list(one.data)}
        for one in task.sample().values()
    ]
    answer = httpx.post(f"http://{address}/v2/models/{name}/infer", json={"inputs": inputs}, timeout=60)
    assert answer.status_code == 200, answer.text
    return {one["name"]: one["data"] for one in answer.json()["outputs"]}


def as_array(tensor: Tensor, task: Task) -> np.ndarray:
    """A sample's tensor as who has it in numpy would send it."""
    if tensor.datatype != "BYTES":
        return np.array(tensor.data, dtype=NUMBERS[tensor.datatype]).reshape(tensor.shape)
    (takes,) = (one for one in task.inputs if one.name == tensor.name)
    unpacked = base64.b64decode if takes.parameters == BASE64 else str.encode
    return np.array([unpacked(one) for one in tensor.data], dtype=np.object_).reshape(tensor.shape)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "json"])
def test_the_client_of_triton_is_told_the_same(
    replicas: dict[str, tuple[Task, str]], name: str, *, raw: bool
) -> None:
    task, address = replicas[name]
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_ready()
        assert client.is_model_ready(name)
        about = client.get_model_metadata(name)
        inputs = [triton.InferInput(one["name"], [1], one["datatype"]) for one in about["inputs"]]
        for one in inputs:
            value = as_array(task.sample()[one.name()], task)
            if not raw and one.datatype() == "BYTES":
                value = np.array(task.sample()[one.name()].data, dtype=np.object_)
            one.set_data_from_numpy(value, binary_data=raw)
        outputs = [triton.InferRequestedOutput(one["name"], binary_data=raw) for one in about["outputs"]]
        told = client.infer(name, inputs, outputs=None if raw else outputs, request_id="7")
        assert told.get_response()["id"] == "7"
        for output, expected in in_json(task, address, name).items():
            found = [
                one.decode() if isinstance(one, bytes) else one
                for one in told.as_numpy(output).ravel().tolist()
            ]
            assert found == (pytest.approx(expected) if isinstance(expected[0], float) else expected)


def test_the_client_of_triton_understands_a_refusal(replicas: dict[str, tuple[Task, str]]) -> None:
    _, address = replicas["tabular-regression"]
    wrong = triton.InferInput("size", [1], "FP32")
    wrong.set_data_from_numpy(np.array([np.nan], dtype=np.float32))
    with triton.InferenceServerClient(address) as client:
        with pytest.raises(Exception, match="NaN"):
            client.infer("tabular-regression", [wrong])
        assert client.is_model_ready("tabular-regression")


@pytest.mark.skipif(not KSERVE.exists(), reason="there is no .peers/clients with kserve")
def test_the_client_of_kserve_is_told_the_same(replicas: dict[str, tuple[Task, str]]) -> None:
    asked = [
        {
            "url": f"http://{address}", "model": name, "inputs": [
                {"name": one.name, "datatype": one.datatype, "shape": list(one.shape), "data": list(one.data)}
                for one in task.sample().values()
            ],
        }
        for name, (task, address) in replicas.items()
    ]  # fmt: skip
    said = subprocess.run(
        [str(KSERVE), str(Path(__file__).parent / "kserve_asks.py")], input=json.dumps(asked), capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-2000:]
    for (name, (task, address)), told in zip(replicas.items(), json.loads(said.stdout), strict=True):
        assert told == in_json(task, address, name)
