"""The program of one replica: load what the order names, answer until SIGTERM, finish what is in flight."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import uvicorn

from modelhall import tasks
from modelhall.core import plugins, signed_files
from modelhall.core.errors import Rejected
from modelhall.core.orders import ServeOrder
from modelhall.core.program import Order, Reporter, lay_base, unpacked
from modelhall.core.replica_key import REPLICA_KEY
from modelhall.core.secrets import read_secrets
from modelhall.serving.app import app_for
from modelhall.serving.batcher import Batcher
from modelhall.serving.engines import Engine
from modelhall.serving.generation.chat import template_of
from modelhall.serving.generation.following import Following
from modelhall.serving.generation.http import Generation
from modelhall.serving.generation.planned import Teller
from modelhall.serving.generation.worker import Worker
from modelhall.serving.model import Model, Request

_GRACE_S = 5


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Answer requests on a free port of its node's address until SIGTERM; then finish what is in flight and return.

    Ready is reported once the model has answered a first request of its own.
    """
    what = ServeOrder.model_validate(order.what)
    model, generation = _load(order, what)
    model.warm_up()
    listener = socket.create_server((order.address, 0), backlog=2048)
    batcher = Batcher(
        model.answer, max_size=what.batching.max_size, max_delay_s=what.batching.max_delay_ms / 1000
    )
    app = app_for(
        what.service, what.version, model, batcher, read_secrets().get(REPLICA_KEY),
        task=what.task, generation=generation,
    )  # fmt: skip
    server = _server(app)
    reporter.ready("{}:{}".format(*listener.getsockname()))
    try:
        server.run(sockets=[listener])
    finally:
        batcher.close()
        if generation is not None:
            generation.worker.close()
    return {}


def _load(order: Order, what: ServeOrder) -> tuple[Model, Generation | None]:
    """The model, and how it tells texts if that is its task."""
    with unpacked(order, what.artifact) as folder:
        signed_files.check(order, what, folder)
        # What is signed names it by its content.
        lay_base(order, folder)
        task = tasks.load(what.task, folder)
        module = plugins.load("engine", what.engine, field="engine")
        engine: Engine
        generation = None
        if isinstance(task, tasks.Tells):
            generation = _generation(order, what, folder, task, module)
            engine = Following(task, generation.worker)
        else:
            engine = _needed(module, "load", what).load(folder, task, threads=order.threads)
        prepare = _preparation(folder)
    return Model(task, engine, batch=what.batching.max_size, prepare=prepare), generation


def _generation(
    order: Order, what: ServeOrder, folder: Path, task: tasks.Tells, module: ModuleType
) -> Generation:
    slots = what.batching.max_size
    engine = _needed(module, "generator", what).generator(folder, task, threads=order.threads, slots=slots)
    teller = Teller(
        tokenizer=task.tokenizer,
        ends=task.ends,
        length=task.reads,
        template=template_of(folder),
        engine=engine,
    )
    return Generation(teller, Worker(engine, slots=slots), version=what.version)


def _needed(module: ModuleType, function: str, what: ServeOrder) -> Any:
    """The engine's file if it has this function; raises Rejected when it is none for such a task."""
    if not hasattr(module, function):
        raise Rejected(f"the engine {what.engine} does no {what.task}; torch does every task", field="engine")
    return module


def _preparation(folder: Path) -> Callable[[Request], Request] | None:
    """What is done to a request first; None where nothing was done to the rows the model was trained on."""
    if not (folder / "preparation.json").exists():
        return None
    # A replica that has no use for frames starts sooner without polars.
    from modelhall.tasks._preparation import Preparation

    return Preparation(folder).apply


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
