"""Routes for the queue: shares against weights, and what a run has before it."""

from __future__ import annotations

from fastapi import APIRouter

from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.queue_picture import QueuePicture, RunPicture
from modelhall.doors.api.asking import Project, TheHall
from modelhall.doors.api.permissions import Who

router = APIRouter(prefix="/api/v1")


@router.get("/queue")
async def shares(hall: TheHall, who: Who) -> QueuePicture:
    """What each project holds against its weight, of those you may see."""
    return await hall.queueing.shares(who)


@router.get("/runs/{name}/outlook")
async def outlook(name: str, hall: TheHall, who: Who, project: Project = DEFAULT_PROJECT) -> RunPicture:
    """A queued run's place, when it will start, and what would have it start sooner."""
    return await hall.queueing.why(Key("run", project, name), who)
