"""Data sets: what there is of each, and of one version its rows, its columns and what was left out on the way."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from modelhall.app import sight
from modelhall.core.errors import NotFound
from modelhall.core.kinds import Key
from modelhall.core.kinds.dataset import DatasetResource, Split
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.datasets import WORD
from modelhall.doors.api.permissions import Who
from modelhall.doors.console import charts, samples
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages

router = pages()

MOST = 500
ROWS = 10
EVENTS = 20
COLUMNS = 40
"""Drawn of a version; a picture may come as hundreds of columns."""
Version = Annotated[str | None, Query(pattern=WORD)]


@router.get("/datasets")
async def datasets(
    request: Request, hall: TheHall, who: Who, project: Annotated[str | None, Query(max_length=63)] = None
) -> HTMLResponse:
    """All that he may see."""
    found = await sight.find(hall.store, who, "dataset", project or None, limit=MOST)
    return page(request, "datasets.html", datasets=found, project=project)


@router.get("/datasets/{project}/{name}")
async def dataset(
    request: Request, project: str, name: str, hall: TheHall, version: Version = None
) -> HTMLResponse:
    """One of them: its document, its versions, and what the one that is looked at was made of."""
    key = Key("dataset", project, name)
    found: DatasetResource | None = await hall.store.get(key)
    if found is None:
        raise NotFound(f"no {key}")
    shown = await hall.looking.version(key, version) if version or found.status.current else None
    return page(
        request,
        "dataset.html",
        dataset=found,
        shown=shown,
        version=version,
        events=await hall.store.events(key, EVENTS),
    )


@router.get("/datasets/{project}/{name}/content")
async def content(
    request: Request, project: str, name: str, hall: TheHall, version: Version = None, split: Split = "train"
) -> HTMLResponse:
    """Rows and columns of a version, which a program of its own reads: a part of the page that comes after it."""
    key = Key("dataset", project, name)
    record = await hall.looking.record(key, version)
    rows = await hall.looking.rows(key, version, split, ROWS)
    return page(
        request,
        "dataset_content.html",
        record=record,
        split=split,
        columns=_columns(record, split),
        left_out=max(0, len(record["columns"]) - COLUMNS),
        names=[column["name"] for column in record["columns"]][:COLUMNS],
        rows=[{name: samples.sample(value) for name, value in row.items()} for row in rows],
        project=project,
        name=name,
        version=version,
    )


def _columns(record: dict[str, Any], split: str) -> list[dict[str, Any]]:
    """Each column with how its values are spread."""
    types = {column["name"]: column["type"] for column in record["columns"]}
    told = list(record["statistics"].get(split, {}).items())[:COLUMNS]
    return [
        {"name": name, "type": types.get(name, ""), "of": of, "bars": charts.bars(_spread(of))}
        for name, of in told
    ]


def _spread(of: dict[str, Any]) -> dict[str, int]:
    """A histogram of numbers, of values from the commonest on, or of lengths by powers of two."""
    if of.get("histogram"):
        step = (of["largest"] - of["least"]) / len(of["histogram"])
        return {f"{of['least'] + step * place:.4g}…": count for place, count in enumerate(of["histogram"])}
    if of.get("values"):
        return dict(list(of["values"].items())[:COLUMNS])
    return {f"{2**place // 2}…": count for place, count in enumerate(of.get("lengths") or [])}
