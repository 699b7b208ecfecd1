"""What a model is made from beside its data: a base, fetched once for each content it has had, and a teacher."""

from __future__ import annotations

from dataclasses import dataclass

from modelhall.control import meant, work
from modelhall.control.actions import Action, Wake
from modelhall.control.datasets import LOOK_AGAIN_S, Fingerprint
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core.base_models import source_of
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.kinds import Key, Problem
from modelhall.core.kinds.dataset import DatasetVersion
from modelhall.core.kinds.model import Model, ModelResource, ModelVersion
from modelhall.core.kinds.origin import Origin
from modelhall.core.names import split_reference
from modelhall.core.orders import FetchOrder, FetchOutput, TrainOrder, key_of
from modelhall.core.references import MODEL_SCHEME, of_url
from modelhall.core.source_url import secrets_named


@dataclass(frozen=True, kw_only=True)
class Origins:
    """What a model is made from, as it is now."""

    base: Origin | None = None
    teacher: Origin | None = None
    waits: str = ""
    """Why one of them is not there yet; empty when all are."""
    problem: Problem | None = None
    fetch: Work | None = None
    """How far fetching the base is; None when it is a model of this hall, or there is none."""


async def observe(resource: ModelResource, view: View, fingerprint: Fingerprint) -> Origins:
    """Look at the base and the teacher that the document names."""
    document = resource.document
    teacher, waits = None, ""
    if document.teacher is not None:
        teacher, waits = _of_hall(document.teacher.model, resource, view)
    if document.base is None:
        return Origins(teacher=teacher, waits=waits)
    if document.base.startswith(MODEL_SCHEME):
        base, waits_too = _of_hall(document.base, resource, view)
        return Origins(base=base, teacher=teacher, waits=waits or waits_too)
    try:
        found = await fingerprint(source_of(document.base), resource.key.project)
    except (Rejected, NotNow) as error:
        problem = Problem.of(error).model_copy(update={"field": "base"})
        return Origins(teacher=teacher, waits=error.message, problem=problem)
    key = key_of("fetch", FetchOrder(base=document.base), source=found)
    fetch = await work.look_up(view, resource.key, "fetch", key)
    if fetch.result is None:
        said, failed = work.progress(fetch)
        return Origins(teacher=teacher, waits=waits or said, problem=failed, fetch=fetch)
    return Origins(base=_fetched(document.base, fetch), teacher=teacher, waits=waits, fetch=fetch)


def train_order(
    document: Model, data: DatasetVersion, origins: Origins, bars: tuple[float, ...] = ()
) -> TrainOrder:
    """The training of a model on a data version, which it ends early where it falls below `bars`."""
    teacher = None
    if document.teacher is not None and origins.teacher is not None:
        teacher = document.teacher.model_copy(update={"model": origins.teacher.artifact})
    return TrainOrder(
        task=document.task,
        columns=document.columns,
        network=document.network,
        train=document.train,
        data=data.artifact,
        base=origins.base.artifact if origins.base else None,
        teacher=teacher,
        shards=document.resources.workers.max,
        bars=bars,
    )


def look_again(resource: ModelResource) -> list[Action]:
    """Have the model looked at again if its base may change without anybody telling."""
    base = resource.document.base
    is_outside = base is not None and not base.startswith(MODEL_SCHEME)
    return [Wake(key=resource.key, after_s=LOOK_AGAIN_S)] if is_outside else []


def start(resource: ModelResource, origins: Origins) -> list[Action]:
    """Have the base fetched, unless it was or that is on its way."""
    base = resource.document.base
    if base is None or origins.fetch is None or origins.fetch.result is not None:
        return []
    secrets = secrets_named([source_of(base)])
    order = FetchOrder(base=base)
    return work.start(
        resource.key, origins.fetch, order, resource.document.resources.of_one(), secrets=secrets
    )


def is_of_erased(version: ModelVersion, project: str, view: View) -> bool:
    """Whether a model that `version` was made from had been trained on rows that were erased since."""
    for origin in filter(None, (version.base, version.teacher)):
        if origin.source.startswith(MODEL_SCHEME):
            _, id = split_reference(origin.source.removeprefix(MODEL_SCHEME))
            model = view.get(of_url(origin.source, project))
            if model is not None and any(v.id == id and v.erased_data for v in model.status.versions):
                return True
    return False


def _of_hall(url: str, resource: ModelResource, view: View) -> tuple[Origin | None, str]:
    """A model of this hall in the version that is meant now, or why there is none."""
    name, pinned = split_reference(url.removeprefix(MODEL_SCHEME))
    model = view.get(Key("model", resource.key.project, name))
    version, waits = meant.model_version(model, name, pinned)
    if version is None:
        return None, waits
    licence = version.base.licence if version.base else ""
    source = f"{MODEL_SCHEME}{name}@{version.id}"
    return Origin(source=source, artifact=version.artifact, licence=licence), ""


def _fetched(base: str, fetch: Work) -> Origin:
    assert fetch.result is not None
    made = FetchOutput.model_validate(fetch.result.output)
    return Origin(source=base, artifact=made.artifact, licence=made.licence, files=made.sources)
