"""Asks replicas by KServe's client, whose environment it runs in: reads what to ask, prints the outputs by name."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def ask(client: InferenceRESTClient, asked: dict[str, Any]) -> dict[str, Any]:
    assert await client.is_server_ready(asked["url"])
    assert await client.is_model_ready(asked["url"], asked["model"])
    inputs = [InferInput(**one) for one in asked["inputs"]]
    told = await client.infer(asked["url"], InferRequest(asked["model"], inputs), model_name=asked["model"])
    return {output.name: output.data for output in told.outputs}


async def main() -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    print(json.dumps([await ask(client, asked) for asked in json.load(sys.stdin)]))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
