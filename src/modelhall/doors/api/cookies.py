"""The cookies that sign-in sets: out of the reach of scripts, not sent from other sites, and with TLS only by TLS."""

from __future__ import annotations

from starlette.responses import Response

from modelhall.doors.api.asgi import Scope
from modelhall.trust.attempts import LIFE_S
from modelhall.trust.sessions import COOKIE, session_in

ATTEMPT = "hall_sign_in"
ATTEMPT_PATH = "/api/v1/session/oidc"


def keep_session(answer: Response, scope: Scope, session: str) -> None:
    """Have the browser keep a session until it is closed; when it is over, the hall knows."""
    answer.set_cookie(COOKIE, session, path="/", httponly=True, samesite="strict", secure=_is_secure(scope))


def forget_session(answer: Response, scope: Scope) -> None:
    """Have the browser forget a session, if it sent one."""
    if session_in(dict(scope["headers"])) is not None:
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_secure(scope))


def keep_attempt(answer: Response, scope: Scope, kept: str) -> None:
    """Have the browser keep this while it is at the provider. It comes back by a link on the provider's site, along
    which a strict cookie would not be sent."""
    answer.set_cookie(
        ATTEMPT,
        kept,
        path=ATTEMPT_PATH,
        max_age=int(LIFE_S),
        httponly=True,
        samesite="lax",
        secure=_is_secure(scope),
    )


def forget_attempt(answer: Response, scope: Scope) -> None:
    answer.delete_cookie(ATTEMPT, path=ATTEMPT_PATH, httponly=True, samesite="lax", secure=_is_secure(scope))


def _is_secure(scope: Scope) -> bool:
    return bool(scope["scheme"] == "https")
