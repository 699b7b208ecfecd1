"""A replica as a process: started by an order, asked over HTTP, ended by SIGTERM."""

from __future__ import annotations

import base64
import io
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import torch
from PIL import Image

from modelhall import networks, tasks
from modelhall.adapters.blobs import open_blobs
from modelhall.core.kinds.model import Network
from modelhall.core.kinds.service import Batching
from modelhall.core.orders import ServeOrder
from modelhall.core.program import Order

INFER = "/v2/models/shades/infer"


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), value).save(buffer, format="PNG")
    return buffer.getvalue()


def ask(*values: int, **more: Any) -> dict[str, Any]:
    data = [base64.b64encode(png(value)).decode() for value in values]
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}], **more}


@dataclass(frozen=True)
class Replica:
    process: subprocess.Popen[bytes]
    http: httpx.Client
    address: str
    work: Path


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """An order to serve a small network with random weights."""
    home = tmp_path_factory.mktemp("replica")
    frame = pl.DataFrame(
        {"image": [png(value) for value in range(0, 250, 10)], "label": ["a", "b", "c"] * 8 + ["a"]}
    )
    task = tasks.fit("image-classification", {"train": frame}, {})
    network = Network(family="cnn", channels=[4], hidden=8)
    torch.manual_seed(0)
    made = home / "made"
    made.mkdir()
    networks.save(networks.build(network, task.shape), network, task.shape, made)
    task.save(made)
    what = ServeOrder(
        service="shades",
        version="abc123",
        artifact=open_blobs(f"folder://{home}/blobs").put_folder(made),
        task="image-classification",
        engine="torch",
        batching=Batching(max_size=8),
    )
    places = {name: home / name for name in ("work", "state", "cache")}
    for place in places.values():
        place.mkdir()
    order = Order(
        run="r", attempt=1, what=what.model_dump(), blobs=f"folder://{home}/blobs", threads=1, **places
    )
    (order.work / "order.json").write_text(order.model_dump_json())
    return order


def start(order: Order) -> Replica:
    report = order.work / "report.json"
    report.unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "modelhall.serving", str(order.work / "order.json")])
    until = time.monotonic() + 60
    while not report.exists():
        assert process.poll() is None, "the replica ended before it was ready"
        assert time.monotonic() < until, "the replica was not ready within a minute"
        time.sleep(0.02)
    address = json.loads(report.read_bytes())["address"]
    return Replica(process, httpx.Client(base_url=f"http://{address}", timeout=30), address, order.work)


@pytest.fixture(scope="module")
def replica(order: Order) -> Iterator[Replica]:
    started = start(order)
    yield started
    started.process.kill()
    started.process.wait()


def test_it_says_that_it_lives_and_what_it_serves(replica: Replica) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/shades/ready", "/v2"):
        assert replica.http.get(path).status_code == 200
    told = replica.http.get("/v2/models/shades").json()
    assert told["versions"] == ["abc123"]
    assert [tensor["name"] for tensor in told["inputs"]] == ["image"]
    assert told["outputs"][2]["parameters"] == {"labels": ["a", "b", "c"]}


def test_it_answers_with_label_score_and_all_scores(replica: Replica) -> None:
    answer = replica.http.post(INFER, json=ask(0, 200, id="q1"))
    assert answer.status_code == 200
    assert float(answer.headers["x-hall-compute-s"]) > 0
    told = answer.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("shades", "abc123", "q1")
    label, score, scores = told["outputs"]
    assert (label["shape"], score["shape"], scores["shape"]) == ([2], [2], [2, 3])
    assert set(label["data"]) <= {"a", "b", "c"}
    assert sum(scores["data"]) == pytest.approx(2, abs=1e-4)
    assert score["data"][0] == max(scores["data"][:3])


def test_the_version_may_stand_in_the_path(replica: Replica) -> None:
    assert replica.http.post("/v2/models/shades/versions/abc123/infer", json=ask(1)).status_code == 200
    wrong = replica.http.post("/v2/models/shades/versions/ffff/infer", json=ask(1))
    assert wrong.status_code == 404
    assert "ffff" in wrong.json()["error"]


def test_only_the_outputs_asked_for_are_sent(replica: Replica) -> None:
    told = replica.http.post(INFER, json=ask(1, outputs=[{"name": "score"}])).json()
    assert [output["name"] for output in told["outputs"]] == ["score"]


def test_many_callers_at_once_get_what_they_would_get_alone(replica: Replica) -> None:
    alone = [replica.http.post(INFER, json=ask(value)).json()["outputs"][2]["data"] for value in range(16)]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda value: replica.http.post(INFER, json=ask(value)).json(), range(16)))
    for one, other in zip(alone, together, strict=True):
        assert other["outputs"][2]["data"] == pytest.approx(one, abs=1e-5)


def test_malformed_requests_are_told_so_and_do_no_harm(replica: Replica) -> None:
    bad: list[tuple[int, dict[str, Any]]] = [
        (400, {"content": b"{"}),
        (400, {"json": {"inputs": []}}),
        (400, {"json": {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAAA"]}]}}),
        (413, {"content": b"0" * (33 << 20)}),
    ]
    for status, content in bad:
        answer = replica.http.post(INFER, **content)
        assert answer.status_code == status
        assert isinstance(answer.json()["error"], str)
    assert replica.http.get("/nothing").json() == {"error": "Not Found"}
    assert replica.http.get(INFER).status_code == 405
    assert replica.http.post("/v2/models/other/infer", json=ask(1)).status_code == 404
    assert replica.http.post(INFER, json=ask(1)).status_code == 200


def test_a_caller_who_breaks_off_does_no_harm(replica: Replica) -> None:
    host, _, port = replica.address.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf" % INFER.encode())
    assert replica.http.post(INFER, json=ask(1)).status_code == 200


def test_metrics_can_be_read_by_prometheus(replica: Replica) -> None:
    replica.http.post(INFER, json=ask(1))
    text = replica.http.get("/metrics").text
    assert "modelhall_replica_batch_rows_count" in text
    assert "modelhall_replica_compute_seconds_total" in text


def test_sigterm_lets_the_requests_in_flight_finish_and_ends_well(order: Order) -> None:
    replica = start(order)
    body = json.dumps(ask(*range(15))).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    host, _, port = replica.address.partition(":")
    callers = [socket.create_connection((host, int(port)), timeout=30) for _ in range(8)]
    for caller in callers:
        caller.sendall(head.encode())
    for caller in callers:
        # The replica says this when it reads the body: from here on the request is in flight.
        assert caller.recv(256).startswith(b"HTTP/1.1 100 ")
    replica.process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.sendall(body)
    for caller in callers:
        with caller, caller.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
    assert replica.process.wait(30) == 0
    assert json.loads((replica.work / "result.json").read_text()) == {"output": {}}
