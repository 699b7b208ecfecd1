"""Routes that tell of versions of models and of trainings. They name labels, and take what it takes to see the
data."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.doors.api.asking import Project, TheHall
from modelhall.doors.api.datasets import WORD, Version

router = APIRouter(prefix="/api/v1")


@router.get("/models/{name}/card")
async def card(
    name: str, hall: TheHall, project: Project = DEFAULT_PROJECT, version: Version = None
) -> dict[str, Any]:
    """All about a version: data, training, figures by label, cost."""
    return await hall.cards.card(Key("model", project, name), version)


@router.get("/models/{name}/compare")
async def compare(
    name: str,
    hall: TheHall,
    before: Annotated[str, Query(pattern=WORD)],
    project: Project = DEFAULT_PROJECT,
    after: Version = None,
) -> dict[str, Any]:
    """What differs between two versions on the same rows, and how likely that is chance."""
    return await hall.cards.compare(Key("model", project, name), before, after)


@router.get("/runs/{name}/record")
async def record(name: str, hall: TheHall, project: Project = DEFAULT_PROJECT) -> dict[str, Any]:
    """How a run trained: its order, its curves, with what and for how long."""
    return await hall.cards.record(Key("run", project, name))
