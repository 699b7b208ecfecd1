"""What is refused before anything is stored: names of nothing, rings, plug-ins that are not there, sources that
are not there, changes to what cannot change."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from modelhall.control import served_adapters
from modelhall.control.datasets import Fingerprint
from modelhall.core import dataset_sources, file_formats, plugins
from modelhall.core.base_models import source_of
from modelhall.core.errors import Rejected
from modelhall.core.kinds import AnyResource, Dataset, Document, Key, Model, Run, Service
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.model import BESIDE_A_BASE, Network
from modelhall.core.libraries import installed
from modelhall.core.names import did_you_mean, split_reference
from modelhall.core.references import DATASET_SCHEME, MODEL_SCHEME, find_cycle, is_of_hall, references
from modelhall.core.requirement import metric_of, slice_of
from modelhall.core.searching import with_values


async def check(
    document: Document,
    declared: Mapping[Key, Document],
    stored: Mapping[Key, AnyResource],
    fingerprint: Fingerprint,
) -> None:
    """Raise Rejected, with the field, unless `document` may stand among the `declared` ones and the `stored`."""
    _check_labels(document)
    _check_project(document, declared, stored)
    _check_references(document, declared, stored)
    match document:
        case Dataset():
            await _check_dataset(document, fingerprint)
        case Model():
            await _check_model(document, fingerprint)
        case Service():
            plugins.check("balance", document.balance, field="balance")
            if document.scaling is not None:
                plugins.check("scale", document.scaling.by, field="replicas.by")
            if document.engine is not None:
                _check_engine(document.engine)
            served_adapters.check(document, declared, stored)
        case Run():
            _check_run(document, stored)


def _check_engine(name: str) -> None:
    """That there is such an engine, and that what converts for it, if anything, is installed."""
    plugins.check("engine", name, field="engine")
    wanted = plugins.constant("engine", name, "CONVERTED_BY", ())
    if missing := [library for library in wanted if library not in installed(wanted)]:
        raise _not_installed(missing, "engine", extra=plugins.constant("engine", name, "EXTRA"))


def _check_labels(document: Document) -> None:
    for name, value in document.labels.items():
        if not (name + value).isprintable():
            raise Rejected(f"the label {name!r}: {value!r} has what cannot be printed", field="labels")


def _check_project(
    document: Document, declared: Mapping[Key, Document], stored: Mapping[Key, AnyResource]
) -> None:
    key = Key("project", DEFAULT_PROJECT, document.project)
    if document.project != DEFAULT_PROJECT and key not in declared and key not in stored:
        known = [k.name for k in (*declared, *stored) if k.kind == "project"] + [DEFAULT_PROJECT]
        raise Rejected(
            f"no project {document.project!r}; {did_you_mean(document.project, known)}", field="project"
        )
    if key in stored and key not in declared and stored[key].deleting:
        raise Rejected(f"{key} is being removed", field="project")
    if document.kind == "project" and document.project != DEFAULT_PROJECT:
        raise Rejected("a project is not inside another one", field="project")


def _check_references(
    document: Document, declared: Mapping[Key, Document], stored: Mapping[Key, AnyResource]
) -> None:
    for field, target in references(document).items():
        if target not in declared and target not in stored:
            there = [key.name for key in (*declared, *stored) if key[:2] == target[:2]]
            raise Rejected(
                f"no {target.kind} {target.name!r}; {did_you_mean(target.name, there)}", field=field
            )
        if target not in declared and stored[target].deleting:
            raise Rejected(f"{target} is being removed", field=field)
    graph = {key: list(references(found.document).values()) for key, found in stored.items()}
    graph |= {key: list(references(found).values()) for key, found in declared.items()}
    ring = find_cycle(graph)
    if ring is not None and document.key in ring:
        field = next(field for field, target in references(document).items() if target in ring)
        raise Rejected(f"these wait for each other: {' → '.join(map(str, ring))}", field=field)


async def _check_dataset(document: Dataset, fingerprint: Fingerprint) -> None:
    _check_format(document)
    for place, step in enumerate(document.prepare):
        field = f"prepare.{place}.{step.name}"
        plugins.check_options("step", step.name, plugins.STEP, step.options, field=field)
    _check_models(document)
    for field, url in dataset_sources.sources(document).items():
        if is_of_hall(url):
            continue
        try:
            await fingerprint(url, document.project)
        except Rejected as error:
            raise Rejected(error.message, field=field) from None


def _check_models(document: Dataset) -> None:
    """A model is named where a step is given one, and nowhere else."""
    wanted = {found.field for found in dataset_sources.of_steps(document.prepare) if found.sort == "Model"}
    for field, url in dataset_sources.sources(document).items():
        if url.startswith(MODEL_SCHEME) != (field in wanted):
            raise Rejected(
                f"a model is named here, such as {MODEL_SCHEME}digits, not {url!r}"
                if field in wanted
                else f"a model has no rows; {url!r} can be no source",
                field=field,
            )


def _check_format(document: Dataset) -> None:
    """Refuse what the format has no use for, where it is said or the names of the files tell it; where neither does,
    as with archives, the stage finds out."""
    form = document.format
    told = {file_formats.told_by(form.members or url) for url in document.sources.values()}
    by_name = told.pop() if len(told) == 1 else None
    name = form.type or by_name
    if form.query is not None and by_name is not None:
        raise Rejected(f"databases are asked, and files of {by_name} are read", field="format.query")
    if name is not None:
        plugins.check("format", name, field="format.type")
        plugins.check_options("format", name, "read", form.options, field="format")


async def _check_model(document: Model, fingerprint: Fingerprint) -> None:
    _check_what_is_trained(document)
    await _check_origins(document, fingerprint)
    split_reference(document.data)


def _check_what_is_trained(document: Model) -> None:
    plugins.check("task", document.task, field="task")
    _check_start(document)
    _check_training(document)
    _check_metrics(document)
    _check_search(document)
    _check_compression(document)


def _check_search(document: Model) -> None:
    """That every field that is searched is there, and takes each of its values, or both ends of its range."""
    for field, one in document.search.over.items() if document.search is not None else ():
        for value in one.samples:
            try:
                _check_what_is_trained(with_values(document, {field: value}))
            except Rejected as error:
                raise Rejected(error.message, field=f"search.over.{field}") from None


def _check_start(document: Model) -> None:
    """That there is a network, or a base that says all of it but what may stand beside it."""
    network = document.network
    if network is None:
        if document.base is None:
            raise Rejected(
                "say a `network`, to be trained from random weights, or a `base` to start from",
                field="network",
            )
        return
    _check_network(network, "network")
    for option in network.options if document.base is not None else ():
        if option not in BESIDE_A_BASE:
            raise Rejected(
                f"the base says what {option} is; beside it may stand: {', '.join(BESIDE_A_BASE)}",
                field=f"network.{option}",
            )


async def _check_origins(document: Model, fingerprint: Fingerprint) -> None:
    """That base and teacher are such as can be had, and fit what is to be trained."""
    base, teacher = document.base, document.teacher
    if base is not None and not plugins.constant("task", document.task, "TAKES_BASE"):
        able = [name for name in plugins.names("task") if plugins.constant("task", name, "TAKES_BASE")]
        raise Rejected(f"{document.task} starts from no base; there is: {', '.join(able)}", field="base")
    if base is not None and not is_of_hall(base):
        try:
            await fingerprint(source_of(base), document.project)
        except Rejected as error:
            raise Rejected(error.message, field="base") from None
    if base is not None and base.startswith(DATASET_SCHEME):
        raise Rejected(f"{base!r} is data; a base is a model, such as {MODEL_SCHEME}NAME", field="base")
    if teacher is not None and not teacher.model.startswith(MODEL_SCHEME):
        raise Rejected(
            f"a teacher is a model of this hall, such as {MODEL_SCHEME}NAME, not {teacher.model!r}",
            field="teacher.model",
        )
    if document.train.adapter is not None and base is None:
        raise Rejected(
            "an adapter stands beside the weights of a `base`, and there is none", field="train.adapter"
        )


def _check_training(document: Model) -> None:
    train = document.train
    if train.epochs == 0 and document.base is None:
        raise Rejected("without a `base` nothing is known before the first epoch", field="train.epochs")
    plugins.check_options(
        "optimizer", train.optimizer.name, "make", train.optimizer.options, field="train.optimizer"
    )
    plugins.check_options(
        "rate", train.schedule.name, "factor", train.schedule.options, field="train.schedule"
    )
    if train.loss is None:
        return
    known = plugins.constant("task", document.task, "LOSSES")
    if train.loss.name not in known:
        raise Rejected(
            f"{document.task} is not trained by {train.loss.name!r}; {did_you_mean(train.loss.name, known)}",
            field="train.loss",
        )
    plugins.check_options("loss", train.loss.name, "make", train.loss.options, field="train.loss")


def _check_compression(document: Model) -> None:
    """That there are such methods, that what they need is installed, and that there is something to keep."""
    if document.compress is None:
        return
    if not plugins.constant("task", document.task, "COMPRESSES"):
        raise Rejected(
            f"no engine answers {document.task} by a compressed network; leave `compress` out",
            field="compress",
        )
    if not any(slice_of(name) is None for name in document.require):
        raise Rejected(
            "compressing keeps a share of what is required, and nothing is; add `require`, such as "
            "`require: {accuracy: '>= 0.9'}`",
            field="require",
        )
    for method in document.compress.methods:
        field = f"compress.{method.name}"
        plugins.check("compression", method.name, field=field)
        plugins.check_options("compression", method.name, "apply", method.options, field=field)
        _check_installed(plugins.constant("compression", method.name, "NEEDS"), field, extra="compress")
        if "network" in method.options:
            _check_network(_network(method.options["network"], field), f"{field}.network")
    _check_installed(plugins.constant("compression", "export", "NEEDS"), "compress", extra="compress")


def _network(told: dict[str, Any], field: str) -> Network:
    try:
        return Network.model_validate(told)
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join([field, "network", *map(str, mistake["loc"])])
        raise Rejected(f"{mistake['msg']}; such as {{family: mlp, hidden: [32]}}", field=place) from None


def _check_installed(libraries: tuple[str, ...], field: str, *, extra: str) -> None:
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise _not_installed(missing, field, extra=extra)


def _not_installed(missing: list[str], field: str, *, extra: str) -> Rejected:
    return Rejected(
        f"{', '.join(missing)} is not installed here; `pip install modelhall[{extra}]` does", field=field
    )


def _check_network(network: Network, field: str) -> None:
    plugins.check("network", network.family, field=f"{field}.family")
    plugins.check_options("network", network.family, "build", network.options, field=field)


def _check_metrics(document: Model) -> None:
    """That there are such metrics, and that they are for what the task predicts."""
    predicts = plugins.constant("task", document.task, "PREDICTS")
    suited = [name for name in plugins.names("metric") if plugins.constant("metric", name, "OF") in predicts]
    for required in document.require:
        metric, column = metric_of(required), slice_of(required)
        plugins.check("metric", metric, field=f"require.{required}")
        if column is not None and column not in document.slices:
            raise Rejected(
                f"{required} is of a slice by {column}, which `slices` does not name",
                field=f"require.{required}",
            )
        if metric not in suited:
            raise Rejected(
                f"{metric} is no metric of {document.task}, which predicts {' and '.join(predicts)}; there is: "
                + ", ".join(suited),
                field=f"require.{required}",
            )
        if plugins.constant("metric", metric, "OF") == "texts":
            _check_installed(plugins.constant("metric", metric, "NEEDS"), f"require.{required}", extra="text")


def _check_run(document: Run, stored: Mapping[Key, AnyResource]) -> None:
    if document.stage is not None or document.owner is not None:
        field = "stage" if document.stage is not None else "owner"
        raise Rejected("only the hall sets this; ask for a command instead", field=field)
    if not document.command:
        raise Rejected("a run needs a command, such as [python, -c, 'print(1)']", field="command")
    there = stored.get(document.key)
    if (
        there is not None
        and document.model_copy(update={"cancelled": there.document.cancelled}) != there.document
    ):
        raise Rejected(
            "a run cannot be changed once it is asked for; delete it, or use another name", field="name"
        )
