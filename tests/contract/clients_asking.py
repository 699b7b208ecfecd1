"""Asks replicas by the clients of Triton and KServe, in whose environment it runs: the client is its argument. Reads
what to ask, as a list of URL, model and inputs, and prints the outputs of each by name, or what was refused."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient import http as triton

Asked = dict[str, Any]


def by_triton(asked: Asked, *, raw: bool) -> dict[str, Any]:
    """With tensors as bytes, as that client sends and wants them unless it is told otherwise, or in JSON."""
    with triton.InferenceServerClient(asked["url"].removeprefix("http://")) as client:
        assert client.is_server_ready()
        assert client.is_model_ready(asked["model"])
        about = client.get_model_metadata(asked["model"])
        inputs = [_tensor(one, about, raw=raw) for one in asked["inputs"]]
        outputs = [triton.InferRequestedOutput(one["name"], binary_data=raw) for one in about["outputs"]]
        try:
            told = client.infer(asked["model"], inputs, outputs=None if raw else outputs, request_id="7")
        except triton.InferenceServerException as error:
            return {"refused": error.message()}
        assert told.get_response()["id"] == "7"
        return {one["name"]: _plain(told.as_numpy(one["name"])) for one in about["outputs"]}


async def by_kserve(asked: Asked) -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    assert await client.is_server_ready(asked["url"])
    assert await client.is_model_ready(asked["url"], asked["model"])
    inputs = [InferInput(**one) for one in asked["inputs"]]
    told = await client.infer(asked["url"], InferRequest(asked["model"], inputs), model_name=asked["model"])
    return {output.name: output.data for output in told.outputs}


def _tensor(given: Asked, about: Asked, *, raw: bool) -> triton.InferInput:
    (takes,) = (one for one in about["inputs"] if one["name"] == given["name"])
    data = given["data"]
    if given["datatype"] != "BYTES":
        value = np.array(data, dtype=triton.triton_to_np_dtype(given["datatype"]))
    elif raw and takes.get("parameters") == {"content_type": "base64"}:
        value = np.array([base64.b64decode(one) for one in data], dtype=np.object_)
    else:
        value = np.array([one.encode() if raw else one for one in data], dtype=np.object_)
    tensor = triton.InferInput(given["name"], given["shape"], given["datatype"])
    return tensor.set_data_from_numpy(value.reshape(given["shape"]), binary_data=raw)


def _plain(value: np.ndarray) -> list[Any]:
    return [one.decode() if isinstance(one, bytes) else one for one in value.ravel().tolist()]


CLIENTS = {
    "triton": lambda asked: by_triton(asked, raw=True),
    "triton-json": lambda asked: by_triton(asked, raw=False),
    "kserve": lambda asked: asyncio.run(by_kserve(asked)),
}

if __name__ == "__main__":
    print(json.dumps([CLIENTS[sys.argv[1]](asked) for asked in json.load(sys.stdin)]))  # noqa: T201
