"""Routes for alerts: what calls for somebody, and what nobody is to be told of for a while."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from modelhall.app.monitoring import asked
from modelhall.core.alerts import ALL, Silence
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who

router = APIRouter(prefix="/api/v1")

LONGEST_S = 366 * 86400.0


class Wanted(BaseModel, extra="forbid"):
    """A silence as it is asked for."""

    rule: str = Field(default=ALL, max_length=63, description="The name of a rule, or `*` for all.")
    subject: str = Field(
        default=ALL, max_length=300, description="Such as `node/default/local`, or `*` for all."
    )
    for_s: float = Field(gt=0, le=LONGEST_S)
    reason: str = Field(default="", max_length=500)


@router.get("/alerts")
async def alerts(hall: TheHall, who: Who) -> dict[str, Any]:
    """The alerts about what you may look at, firing or about to; the silences for the hall's operators."""
    return asked.alerts_for(who, hall.alarms)


@router.post("/silences", status_code=201)
async def silence(hall: TheHall, who: Who, wanted: Wanted) -> Silence:
    """Have nobody be told of some alerts for a while; they are shown all the same."""
    return await hall.alarms.silence(**wanted.model_dump(), by=who.name)


@router.delete("/silences/{id}", status_code=204)
async def end_silence(hall: TheHall, id: Annotated[str, Path(max_length=64)]) -> None:
    """Have people be told again."""
    await hall.alarms.end_silence(id)
