"""From an order to what answers: the version is unpacked, checked and loaded, and so are the adapters beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from modelhall import tasks
from modelhall.core import plugins, signed_files
from modelhall.core.errors import Rejected
from modelhall.core.orders import ServeOrder
from modelhall.core.program import Order, lay_base, unpacked
from modelhall.serving._adapters import unpacked_adapters
from modelhall.serving.engines import Engine, Generator
from modelhall.serving.generation.chat import template_of
from modelhall.serving.generation.following import Following
from modelhall.serving.generation.http import Generation
from modelhall.serving.generation.planned import Teller
from modelhall.serving.generation.worker import Worker
from modelhall.serving.model import Model, Request

_TOKENIZER = "tokenizer.json"


class Loaded(NamedTuple):
    """What answers."""

    models: dict[str, Model]
    """By the names of adapters; the version itself has none."""
    generation: Generation | None
    """How they tell texts, if that is their task."""


def load(order: Order, what: ServeOrder) -> Loaded:
    """Raises Rejected for what is not signed, does not fit together, or the engine does not do."""
    with unpacked(order, what.artifact) as folder:
        signed_files.check(order, what, folder)
        # What is signed names it by its content.
        lay_base(order, folder)
        task = tasks.load(what.task, folder)
        module = plugins.load("engine", what.engine, field="engine")
        if isinstance(task, tasks.Tells):
            with unpacked_adapters(order, what, folder) as adapters:
                engine = _generator(order, what, folder, adapters, task, module)
                return _telling(what, engine, {"": folder, **adapters}, task)
        if what.adapters:
            raise Rejected(
                f"adapters stand beside models that tell texts, and this one does {what.task}; serve each as the "
                "`model` of a service of its own",
                field="adapters",
            )
        engine_of_batches: Engine = _needed(module, "load", what).load(folder, task, threads=order.threads)
        return Loaded({"": _model(what, task, engine_of_batches, folder)}, None)


def _generator(
    order: Order, what: ServeOrder, folder: Path, adapters: Mapping[str, Path], task: tasks.Tells,
    module: ModuleType,
) -> Generator:  # fmt: skip
    given: dict[str, Any] = {"threads": order.threads, "slots": what.batching.max_size}
    made: Generator
    if adapters:
        made = _needed(module, "adapted_generator", what).adapted_generator(folder, adapters, task, **given)
    else:
        made = _needed(module, "generator", what).generator(folder, task, **given)
    return made


def _telling(what: ServeOrder, engine: Generator, folders: Mapping[str, Path], task: Any) -> Loaded:
    """`task` is that of the version itself, which is among the `folders` by no name."""
    worker = Worker(engine, slots=what.batching.max_size)
    models, tellers = {}, {}
    for name, folder in folders.items():
        own = _task(what, folder, folders[""], task) if name else task
        models[name] = _model(what, own, Following(own, worker, name), folder)
        tellers[name] = Teller(
            tokenizer=own.tokenizer,
            ends=own.ends,
            length=own.reads,
            template=template_of(folder),
            engine=engine,
            version=what.adapters[name].version if name else what.version,
            adapter=name,
        )
    return Loaded(models, Generation(tellers.pop(""), worker, adapters=tellers))


def _task(what: ServeOrder, folder: Path, first: Path, of_first: tasks.Tells) -> Any:
    """The task of an adapter. A vocabulary takes more memory than many an adapter, so the same one is held once."""
    task: Any = tasks.load(what.task, folder)
    if (folder / _TOKENIZER).read_bytes() == (first / _TOKENIZER).read_bytes():
        task.tokenizer = of_first.tokenizer
    return task


def _model(what: ServeOrder, task: Any, engine: Engine, folder: Path) -> Model:
    return Model(task, engine, batch=what.batching.max_size, prepare=_preparation(folder))


def _needed(module: ModuleType, function: str, what: ServeOrder) -> Any:
    """The engine's file if it has this function; raises Rejected when it is none for such a task."""
    if not hasattr(module, function):
        does = (
            "serves no adapters beside a model; `engine: torch` does"
            if function == "adapted_generator"
            else f"does no {what.task}; torch does every task"
        )
        raise Rejected(f"the engine {what.engine} {does}", field="engine")
    return module


def _preparation(folder: Path) -> Callable[[Request], Request] | None:
    """What is done to a request first; None where nothing was done to the rows the model was trained on."""
    if not (folder / "preparation.json").exists():
        return None
    # A replica that has no use for frames starts sooner without polars.
    from modelhall.tasks._preparation import Preparation

    return Preparation(folder).apply
