"""Routes for a release that is on its way to replace another."""

from __future__ import annotations

from fastapi import APIRouter

from modelhall.control.steering import Act
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.rollout_picture import Picture
from modelhall.doors.api.asking import OnceOnly, OnRecord, Project, TheHall
from modelhall.doors.api.resources import Done

router = APIRouter(prefix="/api/v1")


@router.get("/services/{name}/rollout")
async def told(name: str, hall: TheHall, project: Project = DEFAULT_PROJECT) -> Picture:
    """How far it is, and what came of the requests of both releases."""
    return await hall.rollouts.told(Key("service", project, name))


@router.post("/services/{name}/rollout/{act}")
async def steer(
    name: str, act: Act, hall: TheHall, once: OnceOnly, written: OnRecord, project: Project = DEFAULT_PROJECT
) -> Done:
    """Have it take over at once, go back, stay where it is, or go on."""
    key = Key("service", project, name)
    return Done(outcomes=await hall.rollouts.steer(key, act, once=once, written=written))
