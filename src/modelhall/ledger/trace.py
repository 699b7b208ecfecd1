"""From an answer back to its data: every step that led to one request's answer, with what it cost.

    request → replica → service → model version → training, evaluation, conversion
            → base → data version → preparation → files

Facts come from the book, which keeps everything, and from the resources, which may have been deleted since: a
step that is gone is said to be gone, and the way goes on as far as what is left tells it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import Field

from modelhall.core.adapter_names import called
from modelhall.core.kinds import AnyResource, Key, Service
from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.dataset import DatasetResource, SourceFile
from modelhall.core.kinds.model import ModelResource, ModelVersion
from modelhall.core.kinds.service import ServiceResource
from modelhall.core.names import split_reference
from modelhall.core.ports.book import Book, Total, Usage
from modelhall.ledger.bill import cost_of, no_such_request, request_receipt, service_receipt

Get = Callable[[Key], Awaitable[AnyResource | None]]


class Step(Frozen):
    """One thing on the way from an answer to its data."""

    what: str
    """request, replica, service, model, train, evaluate, compress, convert, base, teacher, dataset, prepare or
    file."""
    name: str
    id: str = ""
    """What tells it from others of its name: a version, a digest, a uid."""
    details: dict[str, Any] = Field(default_factory=dict)
    cost: Total | None = None
    """What it cost until now; None for what the hall did not make."""
    gone: str = ""
    """Why no more is known of it; empty when all is."""


class Trace(Frozen):
    request: str
    steps: tuple[Step, ...]


async def trace(request: str, *, book: Book, get: Get, may_see: Callable[[str], bool]) -> Trace:
    """Follow a request back to its source files. Raises NotFound when the book does not know it, and just so when
    it is of a project that may not be seen."""
    receipt = await request_receipt(book, request)
    usage = receipt.usage
    assert usage is not None
    if not may_see(usage.project):
        raise no_such_request(request)
    way = _Way(book, get, usage.project)
    steps = [_request_step(usage, receipt.total if receipt.parts else None)]
    if usage.replica:
        steps.append(await way.run("replica", usage.replica))
    steps.append(await way.service(usage))
    version, step = await way.model(usage)
    steps.append(step)
    if version is not None:
        steps.append(await way.run("train", version.train_run))
        steps.append(await way.run("evaluate", version.evaluate_run))
        if version.compression is not None:
            steps.append(await way.run("compress", version.compression.run))
        if (convert_run := await way.convert_run(usage)) is not None:
            steps.append(await way.run("convert", convert_run))
        steps += _origins(version)
        steps += await way.data(version.data)
    return Trace(request=request, steps=tuple(steps))


def _request_step(usage: Usage, cost: Total | None) -> Step:
    details: dict[str, Any] = {
        "at": usage.at,
        "user": usage.user,
        "adapter": usage.adapter,
        "status": usage.status,
        "duration_s": usage.duration_s,
        "tries": usage.tries,
        "bytes_in": usage.bytes_in,
        "bytes_out": usage.bytes_out,
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "first_token_s": usage.first_token_s,
        "tokens_cached": usage.tokens_cached,
        "from_cache": usage.from_cache,
        "charge_nano": usage.charge_nano,
    }
    tokens = (usage.tokens_in or 0) + (usage.tokens_out or 0)
    if tokens and cost is not None:
        for name in ("energy_j", "co2_g", "cost_nano"):
            details[f"{name}_per_1000_tokens"] = getattr(cost, name) * 1000 / tokens
    return Step(what="request", name=usage.request, id=usage.request, details=details, cost=cost)


class _Way:
    """Looks up the steps of one project."""

    def __init__(self, book: Book, get: Get, project: str) -> None:
        self._book = book
        self._get = get
        self._project = project

    async def run(self, what: str, name: str) -> Step:
        key = Key("run", self._project, name)
        cost = await cost_of(self._book, key.path, [key.path])
        run = await self._get(key)
        if run is None:
            return Step(what=what, name=name, cost=cost, gone=f"{key} has been deleted")
        nodes = [attempt.node for attempt in run.status.attempts]
        details = {"state": run.status.state, "attempts": len(nodes), "nodes": sorted(set(nodes))}
        return Step(what=what, name=name, id=run.uid, details=details, cost=cost)

    async def service(self, usage: Usage) -> Step:
        key = Key("service", self._project, usage.service)
        cost = (await service_receipt(self._book, key.path)).total
        gone = "" if await self._get(key) else f"{key} has been deleted"
        name = called(usage.service, usage.adapter)
        return Step(what="service", name=name, id=usage.version, cost=cost, gone=gone)

    async def model(self, usage: Usage) -> tuple[ModelVersion | None, Step]:
        """The version that answered; None when it is gone."""
        service = await self._get(Key("service", self._project, usage.service))
        if service is None:
            gone = f"which model version {usage.version} is of was known to its service"
            return None, Step(what="model", name="", id=usage.version, gone=gone)
        assert isinstance(service.document, Service)
        document = service.document
        reference = document.adapters.get(usage.adapter) if usage.adapter else document.model
        if reference is None:
            gone = f"which model {called(usage.service, usage.adapter)} was of is declared no more"
            return None, Step(what="model", name="", id=usage.version, gone=gone)
        name, _ = split_reference(reference)
        model: ModelResource | None = await self._get(Key("model", self._project, name))
        versions = model.status.versions if model else ()
        version = next((version for version in versions if version.id == usage.version), None)
        if version is None:
            gone = f"model {name} has no such version any more" if model else f"model {name} has been deleted"
            return None, Step(what="model", name=name, id=usage.version, gone=gone)
        made = [version.train_run, version.evaluate_run]
        made += [version.compression.run] if version.compression else []
        runs = {Key("run", self._project, run).path for run in made}
        details = {"task": version.task, "metrics": version.metrics, "artifact": version.artifact}
        cost = await cost_of(self._book, f"{name}@{version.id}", runs)
        return version, Step(what="model", name=name, id=version.id, details=details, cost=cost)

    async def convert_run(self, usage: Usage) -> str | None:
        """The run that converted the version for the engine of its service; None where there was none, and where
        another release is served by now."""
        service: ServiceResource | None = await self._get(Key("service", self._project, usage.service))
        release = service.status.release if service is not None else None
        return release.convert_run if release is not None and release.version == usage.version else None

    async def data(self, reference: str) -> list[Step]:
        """The data set version `reference` names, the run that prepared it, and its source files."""
        name, id = split_reference(reference)
        dataset: DatasetResource | None = await self._get(Key("dataset", self._project, name))
        versions = dataset.status.versions if dataset else ()
        version = next((version for version in versions if id and version.id.startswith(id)), None)
        if version is None:
            gone = (
                f"data set {name} has no such version any more"
                if dataset
                else f"data set {name} has been deleted"
            )
            return [Step(what="dataset", name=name, id=id or "", gone=gone)]
        prepare = await self.run("prepare", version.run)
        details = {"rows": version.rows, "artifact": version.artifact, "size_bytes": version.size_bytes}
        step = Step(what="dataset", name=name, id=version.id, details=details, cost=prepare.cost)
        return [step, prepare, *_files(version.sources)]


def _origins(version: ModelVersion) -> list[Step]:
    """What the version was made from beside its data, and the files of that."""
    steps = []
    for what, origin in (("base", version.base), ("teacher", version.teacher)):
        if origin is not None:
            details = {"licence": origin.licence}
            steps.append(Step(what=what, name=origin.source, id=origin.artifact, details=details))
            steps += _files(origin.files)
    return steps


def _files(files: Sequence[SourceFile]) -> list[Step]:
    return [
        Step(what="file", name=file.path, id=file.digest, details={"size_bytes": file.size_bytes})
        for file in files
    ]
