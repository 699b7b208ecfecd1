"""Routes for people who sign in by password or token: a session begun, looked at, ended; and the password itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field, SecretStr

from modelhall.app.hall import Hall
from modelhall.app.people import Issued
from modelhall.core.kinds.base import Frozen
from modelhall.doors.api.asking import TheHall, Word
from modelhall.doors.api.cookies import forget_session, keep_session
from modelhall.doors.api.gate import address_of
from modelhall.doors.api.permissions import Who
from modelhall.trust.passwords import SHORTEST
from modelhall.trust.sessions import session_in

router = APIRouter(prefix="/api/v1")

LONGEST = 1024


class ByPassword(Frozen):
    user: str = Field(max_length=63)
    password: SecretStr = Field(max_length=LONGEST)


class ByToken(Frozen):
    token: SecretStr = Field(max_length=LONGEST, description="The session ends with it.")


Credentials = Annotated[ByPassword | ByToken, Body(description="A user and his password, or a token.")]


class NewPassword(Frozen):
    # How short is too short, `trust/passwords.py` says, in words.
    password: SecretStr = Field(
        max_length=LONGEST,
        json_schema_extra={"minLength": SHORTEST},
        description="At least 12 characters; any will do.",
    )
    old: SecretStr | None = Field(
        default=None, max_length=LONGEST, description="The one before, unless an operator asks."
    )


class Session(Frozen):
    """Who is signed in."""

    name: str
    token: str
    csrf: str | None = Field(
        description="To be sent as X-Modelhall-CSRF with every change; of a session only."
    )


async def keep_alive(request: Request, hall: TheHall) -> None:
    """What is used lives on."""
    who = getattr(request.state, "identity", None)
    if who is not None:
        await hall.signing_in.sessions.renew(who)


@router.post("/session", status_code=204)
async def sign_in(credentials: Credentials, request: Request, hall: TheHall) -> Response:
    """Begin a session; it comes as a cookie, `hall_session`."""
    begun = await _begun(credentials, address_of(request.scope), hall)
    answer = Response(status_code=204, headers={"cache-control": "no-store"})
    keep_session(answer, request.scope, begun.secret)
    return answer


async def _begun(credentials: ByPassword | ByToken, address: str, hall: Hall) -> Issued:
    if isinstance(credentials, ByToken):
        return await hall.signing_in.by_token(credentials.token.get_secret_value(), address)
    return await hall.signing_in.by_password(
        credentials.user, credentials.password.get_secret_value(), address
    )


@router.get("/session")
async def session(request: Request, response: Response, hall: TheHall, who: Who) -> Session:
    """Who is signed in, and what his changes are to be sent with."""
    response.headers["cache-control"] = "no-store"
    shown = session_in(dict(request.scope["headers"]))
    return Session(
        name=who.name, token=who.token, csrf=None if shown is None else hall.signing_in.proofs.of(shown)
    )


@router.delete("/session", status_code=204)
async def sign_out(request: Request, hall: TheHall, who: Who) -> Response:
    """End the session."""
    await hall.signing_in.sessions.end(who)
    await hall.follower.catch_up()
    answer = Response(status_code=204)
    forget_session(answer, request.scope)
    return answer


@router.put("/users/{name}/password", status_code=204)
async def set_password(
    name: Word, new: Annotated[NewPassword, Body()], request: Request, hall: TheHall, who: Who
) -> Response:
    """Give a user a password, and end his other sessions: he himself with the old one, or an operator."""
    old = None if new.old is None else new.old.get_secret_value()
    await hall.signing_in.set_password(
        name, new.password.get_secret_value(), old, by=who, address=address_of(request.scope)
    )
    await hall.follower.catch_up()
    return Response(status_code=204)
