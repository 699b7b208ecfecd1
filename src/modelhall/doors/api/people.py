"""Routes for tokens and members of projects. A token's secret is told once, when it is made."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response

from modelhall.app.people import Issued
from modelhall.core.access import Role
from modelhall.core.kinds import Key, Token
from modelhall.core.kinds.base import Frozen
from modelhall.doors.api.asking import Project, TheHall
from modelhall.doors.api.permissions import Who
from modelhall.trust.permissions import check_part

router = APIRouter(prefix="/api/v1")


class NewToken(Frozen):
    """A token, and the secret that is shown at the doors. Keep it: it is not told again."""

    token: dict[str, Any]
    secret: str

    @classmethod
    def of(cls, issued: Issued) -> NewToken:
        return cls(token=issued.token.model_dump(mode="json"), secret=issued.secret)


class MemberRole(Frozen):
    role: Role


@router.get("/whoami")
async def whoami(who: Who) -> dict[str, Any]:
    """Who the token that was shown makes one, and what that one may do where."""
    grants = {project: sorted(verbs) for project, verbs in sorted(who.grants.items())}
    return {"name": who.name, "token": who.token, "grants": grants, "everywhere": sorted(who.everywhere)}


@router.post("/tokens", status_code=201)
async def issue(document: Token, hall: TheHall, who: Who) -> NewToken:
    """Make a token: of a user, of nobody with a role in a project, or an operator's."""
    check_part(who, document.project)
    issued = await hall.people.issue(document, who)
    await hall.follower.catch_up()
    return NewToken.of(issued)


@router.post("/tokens/{name}/rotate")
async def rotate(
    name: str,
    hall: TheHall,
    who: Who,
    project: Project = "default",
    overlap_s: Annotated[
        float, Query(ge=0, le=30 * 86_400, description="How long the old secret is good.")
    ] = 0,
) -> NewToken:
    """Give a token a new secret."""
    return NewToken.of(await hall.people.rotate(Key("token", project, name), overlap_s, who))


@router.post("/tokens/{name}/suspend", status_code=204)
async def suspend(
    name: str,
    hall: TheHall,
    who: Who,
    project: Project = "default",
    reason: Annotated[str, Query(max_length=500)] = "by hand",
) -> Response:
    """Make a token useless until it is resumed."""
    await hall.people.suspend(Key("token", project, name), reason, who)
    return Response(status_code=204)


@router.post("/tokens/{name}/resume", status_code=204)
async def resume(name: str, hall: TheHall, who: Who, project: Project = "default") -> Response:
    """Make a suspended token useful again."""
    await hall.people.resume(Key("token", project, name), who)
    return Response(status_code=204)


@router.delete("/tokens/{name}", status_code=204)
async def revoke(name: str, hall: TheHall, who: Who, project: Project = "default") -> Response:
    """Make a token useless, for ever."""
    await hall.people.revoke(Key("token", project, name), who)
    return Response(status_code=204)


@router.put("/projects/{name}/members/{user}", status_code=204)
async def join(
    name: str, user: str, member: Annotated[MemberRole, Body()], hall: TheHall, who: Who
) -> Response:
    """Give a user a role in a project."""
    await hall.people.set_member(name, user, member.role, who)
    return Response(status_code=204)


@router.delete("/projects/{name}/members/{user}", status_code=204)
async def leave(name: str, user: str, hall: TheHall, who: Who) -> Response:
    """Take a user's role in a project away."""
    await hall.people.set_member(name, user, None, who)
    return Response(status_code=204)
