"""Models: versions with what was measured of them, what they descend from, how they were trained, their cards."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from modelhall.app import sight
from modelhall.app.hall import Hall
from modelhall.core import versions
from modelhall.core.access import Identity
from modelhall.core.errors import NotFound
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.model import ModelResource, ModelVersion
from modelhall.core.references import references
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.datasets import WORD
from modelhall.doors.api.permissions import Who
from modelhall.doors.console import charts, lineage
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages

router = pages()

MOST = 500
EVENTS = 20
MOST_CLASSES = 50
Version = Annotated[str | None, Query(pattern=WORD)]


@router.get("/models")
async def models(
    request: Request, hall: TheHall, who: Who, project: Annotated[str | None, Query(max_length=63)] = None
) -> HTMLResponse:
    """All that he may see."""
    found = await sight.find(hall.store, who, "model", project or None, limit=MOST)
    return page(request, "models.html", models=found, project=project)


@router.get("/models/{project}/{name}")
async def model(
    request: Request, project: str, name: str, hall: TheHall, who: Who, version: Version = None
) -> HTMLResponse:
    """One of them: its versions, and the figures of the one that is looked at."""
    key = Key("model", project, name)
    found: ModelResource | None = await hall.store.get(key)
    if found is None:
        raise NotFound(f"no {key}")
    shown = _shown(found, version)
    return page(
        request,
        "model.html",
        model=found,
        shown=shown,
        number=versions.number_of(found.status.versions, shown) if shown else None,
        history=_history(found),
        requirements=found.document.require,
        services=await _services(hall, who, key),
        runs=await _runs(hall, key),
        events=await hall.store.events(key, EVENTS),
    )


@router.get("/models/{project}/{name}/card")
async def card(
    request: Request, project: str, name: str, hall: TheHall, who: Who, version: Version = None
) -> HTMLResponse:
    """What artifacts tell of a version, which a program of its own reads: a part of the page that comes after it."""
    key = Key("model", project, name)
    told = await hall.cards.card(key, version)
    evaluation, record = told["evaluation"] or {}, told["record"] or {}
    curves = record.get("curves", {})
    return page(
        request,
        "model_card.html",
        card=told,
        classes=(evaluation.get("classes") or [])[:MOST_CLASSES],
        confusion=evaluation.get("confusion"),
        heat=charts.heat,
        calibration=evaluation.get("calibration"),
        record=record,
        loss=charts.losses(curves),
        measured=charts.validated(curves),
        lineage=lineage.picture(told, [one.key.name for one in await _services(hall, who, key)]),
    )


def _shown(model: ModelResource, word: str | None) -> ModelVersion | None:
    """The version somebody means: the accepted one, or the newest, if he names none. Raises NotFound."""
    if word is None:
        return model.status.accepted or next(reversed(model.status.versions), None)
    found, why = versions.named(model.status.versions, word, str(model.key))
    if found is None:
        raise NotFound(why, field="version")
    return found


def _history(model: ModelResource) -> charts.Chart | None:
    """How what is required has changed from version to version."""
    metrics = list(model.document.require) or sorted(
        {metric for version in model.status.versions for metric in version.metrics if "[" not in metric}
    )
    curves = {
        metric: [
            (float(place), version.metrics[metric])
            for place, version in enumerate(model.status.versions, 1)
            if metric in version.metrics
        ]
        for metric in metrics
    }
    return charts.chart(curves) if len(model.status.versions) > 1 else None


async def _services(hall: Hall, who: Identity, model: Key) -> list[AnyResource]:
    """Those that serve it."""
    found = await sight.find(hall.store, who, "service", model.project, limit=MOST)
    return [one for one in found if model in references(one.document).values()]


async def _runs(hall: Hall, model: Key) -> list[AnyResource]:
    """Those made for it that are not over."""
    return await hall.store.find("run", model.project, owner=model.path, resting=False, limit=MOST)
