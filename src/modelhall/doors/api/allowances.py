"""The route that tells what is used of limits and budgets."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.doors.api.asking import Project, TheHall, key_of

router = APIRouter(prefix="/api/v1")


@router.get("/{kinds}/{name}/limits")
async def limits(
    kinds: str, name: str, hall: TheHall, project: Project = DEFAULT_PROJECT
) -> list[dict[str, Any]]:
    """What is used of the limits of a service, a token or a project, and of a project's budget."""
    return await hall.allowances.used(key_of(kinds, name, project))
