"""The replica's HTTP: health, metadata, inference and metrics."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, NamedTuple

import prometheus_client
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modelhall.core.adapter_names import HEADER, called
from modelhall.core.errors import HallError, NotNow, Rejected
from modelhall.core.openai_error import body as openai_body
from modelhall.core.openai_error import is_below, shaped
from modelhall.core.replica_key import is_shown
from modelhall.serving import embedding, raw_tensors
from modelhall.serving.batcher import Batcher
from modelhall.serving.generation.http import Generation, refusing
from modelhall.serving.generation.worker import Worker
from modelhall.serving.model import Model
from modelhall.serving.named import asked_of
from modelhall.serving.protocol import read_request, show, write_answer

EXTENSIONS = ("binary_tensor_data",)
MAX_BODY_BYTES = 32 * 2**20
BODY_TIMEOUT_S = 30


def app_for(
    name: str,
    version: str,
    model: Model,
    batcher: Batcher,
    key: str | None = None,
    *,
    task: str = "",
    generation: Generation | None = None,
    adapters: Mapping[str, Served] | None = None,
) -> Starlette:
    """The application for one model, called `name`, and the `adapters` beside it; it answers those who show `key`, or
    everybody without one. Where there is no `generation`, what asks for it is told which `task` there is, but for
    vectors, if that is the task."""
    replica = _Replica(name, {**(adapters or {}), "": Served(version, model, batcher)})
    app = replica.app(
        generation.routes(_checked_body)
        if generation
        else [*embedding.routes(model, batcher, _checked_body), *refusing(name, task)]
    )
    if generation is not None:
        replica.metrics.watch(generation.worker)
    if key is not None:
        app.add_middleware(_Locked, key=key)
    return app


class Served(NamedTuple):
    """What answers by one name."""

    version: str
    model: Model
    batcher: Batcher


class _Locked:
    """Before everything else: whoever is not the hall's gateway is told nothing."""

    def __init__(self, app: Any, key: str) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not is_shown(self._key, dict(scope["headers"])):
            told = {"error": "this replica answers the gateway of its hall only; ask there"}
            await JSONResponse(told, status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class _Replica:
    def __init__(self, name: str, served: Mapping[str, Served]) -> None:
        self._name = name
        self._served = served
        self.metrics = _Metrics([one.batcher for one in served.values()])

    def app(self, more: Sequence[Route]) -> Starlette:
        routes = [
            *more,
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._ready_at_all),
            Route("/v2", self._server),
            Route("/metrics", self._show_metrics),
        ]
        for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [
                Route(place, self._metadata),
                Route(f"{place}/ready", self._ready),
                Route(f"{place}/infer", self._infer, methods=["POST"]),
            ]
        app = Starlette(
            routes=routes,
            exception_handlers={HallError: _refuse, HTTPException: _refuse_http, Exception: _refuse_bug},
        )
        app.router.redirect_slashes = False
        return app

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready_at_all(self, request: Request) -> Response:
        # The model is loaded and warm before the port is open: who is alive is ready.
        return JSONResponse({"ready": True})

    async def _server(self, request: Request) -> Response:
        return JSONResponse(
            {"name": "modelhall", "version": metadata.version("modelhall"), "extensions": EXTENSIONS}
        )

    async def _metadata(self, request: Request) -> Response:
        asked_for = self._asked_for(request)
        return JSONResponse({
            "name": self._called(request),
            "versions": [asked_for.version],
            "platform": "modelhall",
            "inputs": [show(tensor, data=False) for tensor in asked_for.model.inputs],
            "outputs": [show(tensor, data=False) for tensor in asked_for.model.outputs],
        })  # fmt: skip

    async def _ready(self, request: Request) -> Response:
        self._asked_for(request)
        return JSONResponse({"name": self._called(request), "ready": True})

    async def _infer(self, request: Request) -> Response:
        begun = time.perf_counter()
        version, model, batcher = self._asked_for(request)
        _check_coding(request)
        body = await _body(request)
        json_bytes = _json_bytes(request, len(body))
        asked = read_request(body, model.inputs, model.outputs, json_bytes=json_bytes)
        done = await batcher.submit(asked.inputs, asked.rows)
        outputs = [tensor for tensor in done.outputs if not asked.outputs or tensor.name in asked.outputs]
        content: dict[str, Any] = {"model_name": self._called(request), "model_version": version}
        if asked.id is not None:
            content["id"] = asked.id
        answer, json_bytes = write_answer(content, outputs, asked.raw)
        headers = {"x-hall-compute-s": f"{done.compute_s:.9f}"}
        if json_bytes < len(answer):
            headers[raw_tensors.HEADER] = str(json_bytes)
        self.metrics.seconds.observe(time.perf_counter() - begun)
        kind = "application/octet-stream" if raw_tensors.HEADER in headers else "application/json"
        return Response(answer, media_type=kind, headers=headers)

    async def _show_metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    def _asked_for(self, request: Request) -> Served:
        """What is to answer; raises Rejected for another name or version."""
        found = asked_of(request, self._served)
        name, version = request.path_params["name"], request.path_params.get("version", found.version)
        if (name, version) != (self._name, found.version):
            raise Rejected(
                f"no model {name!r} in version {version!r}; this replica serves {self._name!r} in {found.version!r}",
                status=404,
            )
        return found

    def _called(self, request: Request) -> str:
        return called(self._name, request.headers.get(HEADER, ""))


class _Metrics:
    """What Prometheus reads."""

    def __init__(self, batchers: Sequence[Batcher]) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        self.seconds = prometheus_client.Histogram(
            "modelhall_replica_request_seconds", "Time of an answered request.", registry=self._registry
        )
        rows = prometheus_client.Histogram(
            "modelhall_replica_batch_rows", "Rows a batch.", registry=self._registry,
            buckets=[2**power for power in range(10)],
        )  # fmt: skip
        self._compute = prometheus_client.Counter(
            "modelhall_replica_compute_seconds", "Time the network computed.", registry=self._registry
        )
        waiting = prometheus_client.Gauge(
            "modelhall_replica_waiting_rows", "Rows that wait for a batch.", registry=self._registry
        )
        waiting.set_function(lambda: sum(batcher.waiting_rows for batcher in batchers))

        def on_batch(size: int, compute_s: float) -> None:
            rows.observe(size)
            self._compute.inc(compute_s)

        for batcher in batchers:
            batcher.on_batch = on_batch

    def watch(self, worker: Worker) -> None:
        """Measure generation as well."""
        tokens = prometheus_client.Counter(
            "modelhall_replica_tokens", "Tokens told.", registry=self._registry
        )
        running = prometheus_client.Gauge(
            "modelhall_replica_texts_running", "Texts being told.", registry=self._registry
        )
        running.set_function(lambda: worker.running)
        waiting = prometheus_client.Gauge(
            "modelhall_replica_texts_waiting", "Texts that wait for a slot.", registry=self._registry
        )
        waiting.set_function(lambda: worker.waiting)

        if worker.engine.memory_used is not None:
            used = prometheus_client.Gauge(
                "modelhall_replica_cache_used", "Share of the memory for keys and values that is taken.",
                registry=self._registry,
            )  # fmt: skip
            used.set_function(lambda: worker.engine.memory_used or 0.0)

        def on_step(told: int, compute_s: float) -> None:
            tokens.inc(told)
            self._compute.inc(compute_s)

        worker.on_step = on_step

    def text(self) -> bytes:
        return prometheus_client.generate_latest(self._registry)


def _check_coding(request: Request) -> None:
    """Refuse what would be read as something else than it was meant for; raises Rejected."""
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise Rejected(f"a body is sent as it is, without Content-Encoding: {coding!r}", status=415)


def _json_bytes(request: Request, size: int) -> int | None:
    """How many bytes of the body are JSON, where tensors follow it; raises Rejected."""
    given = request.headers.get(raw_tensors.HEADER)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and int(given[:12]) <= size):
        raise Rejected(f"{raw_tensors.HEADER} is {given[:40]!r}, of a body of {size} bytes")
    return int(given)


async def _checked_body(request: Request) -> bytes:
    """The body of what is asked for in JSON alone."""
    _check_coding(request)
    if raw_tensors.HEADER in request.headers:
        raise Rejected("tensors are for the Open Inference Protocol, under /v2", status=415)
    return await _body(request)


async def _body(request: Request) -> bytes:
    """The whole body; raises Rejected if it is too large, too slow or breaks off."""
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise Rejected(f"a body may have {MAX_BODY_BYTES} bytes", status=413)
                chunks.append(chunk)
    except TimeoutError:
        raise Rejected(f"the body did not come within {BODY_TIMEOUT_S} s", status=408) from None
    except ClientDisconnect:
        raise Rejected("the body broke off") from None
    return b"".join(chunks)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HallError)
    headers = {"retry-after": str(math.ceil(error.delay_s))} if isinstance(error, NotNow) else {}
    if is_below(request.scope["path"]):
        return JSONResponse(shaped(error), status_code=error.status, headers=headers)
    message = f"{error.field}: {error.message}" if error.field else error.message
    return JSONResponse({"error": message}, status_code=error.status, headers=headers)


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refusal(request, error.detail, error.status_code, error.headers)


async def _refuse_bug(request: Request, error: Exception) -> Response:
    return _refusal(request, f"the replica failed: {type(error).__name__}", 500)


def _refusal(
    request: Request, message: str, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    told = openai_body(message, status) if is_below(request.scope["path"]) else {"error": message}
    return JSONResponse(told, status_code=status, headers=headers)
