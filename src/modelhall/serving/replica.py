"""The program of one replica: load what the order names, answer until SIGTERM, finish what is in flight."""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping
from typing import Any

import uvicorn

from modelhall.core.orders import ServeOrder
from modelhall.core.program import Order, Reporter
from modelhall.core.replica_key import REPLICA_KEY
from modelhall.core.secrets import read_secrets
from modelhall.serving.app import Served, app_for
from modelhall.serving.batcher import Batcher
from modelhall.serving.loading import load
from modelhall.serving.model import Model

_GRACE_S = 5


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Answer requests on a free port of its node's address until SIGTERM; then finish what is in flight and return.

    Ready is reported once the model has answered a first request of its own.
    """
    what = ServeOrder.model_validate(order.what)
    models, generation = load(order, what)
    models[""].warm_up()
    listener = socket.create_server((order.address, 0), backlog=2048)
    served = {name: _served(model, name, what) for name, model in models.items()}
    own = served.pop("")
    app = app_for(
        what.service, what.version, own.model, own.batcher, read_secrets().get(REPLICA_KEY),
        task=what.task, generation=generation, adapters=served,
    )  # fmt: skip
    server = _server(app)
    reporter.ready("{}:{}".format(*listener.getsockname()))
    try:
        server.run(sockets=[listener])
    finally:
        for one in (own, *served.values()):
            one.batcher.close()
        if generation is not None:
            generation.worker.close()
    return {}


def _served(model: Model, name: str, what: ServeOrder) -> Served:
    version = what.adapters[name].version if name else what.version
    max_size, max_delay_s = what.batching.max_size, what.batching.max_delay_ms / 1000
    return Served(version, model, Batcher(model.answer, max_size=max_size, max_delay_s=max_delay_s))


def _server(app: Any) -> uvicorn.Server:
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=_GRACE_S
    )
    server = uvicorn.Server(config)

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    # For a SIGTERM before uvicorn listens to signals, and for the one it sends itself after its graceful end, which
    # by default would make a planned end look like a death.
    signal.signal(signal.SIGTERM, stop)
    return server
