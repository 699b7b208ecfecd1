"""Routes for people who sign in at a provider: the way there, and the way back.

Where the way back ends is not for the one who asks to say: it is always our own first page.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from modelhall.core.errors import HallError
from modelhall.doors.api.answers import error_response
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.cookies import ATTEMPT, ATTEMPT_PATH, forget_attempt, keep_attempt, keep_session
from modelhall.doors.api.gate import address_of

router = APIRouter(prefix=ATTEMPT_PATH)

UNSEEN = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
# The browser comes along a link of the provider's, and on that way, redirects included, it sends no strict cookie.
# A page of ours that it goes on from by itself makes what follows our own.
SIGNED_IN = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Modelhall</title><meta http-equiv="refresh" content="0;url=/">
<p>Signed in. <a href="/">Go on</a>.</p>
</html>"""


@router.get("/start", status_code=303, response_class=RedirectResponse)
async def start(request: Request, hall: TheHall) -> RedirectResponse:
    """Go to the provider."""
    own = f"{request.url.scheme}://{request.headers['host']}{ATTEMPT_PATH}/callback"
    begun = await hall.signing_in.begin_at_provider(hall.settings.oidc_callback or own)
    answer = RedirectResponse(begun.address, status_code=303, headers=UNSEEN)
    keep_attempt(answer, request.scope, begun.kept)
    return answer


@router.get("/callback", response_class=HTMLResponse)
async def callback(request: Request, hall: TheHall) -> HTMLResponse:
    """Come back from the provider, and begin a session."""
    try:
        begun = await hall.signing_in.by_provider(
            request.cookies.get(ATTEMPT, ""), request.query_params, address_of(request.scope)
        )
    except HallError as error:
        refused = error_response(error, headers=UNSEEN)
        forget_attempt(refused, request.scope)
        return refused  # type: ignore[return-value]
    policy = {"content-security-policy": "default-src 'none'"}
    answer = HTMLResponse(SIGNED_IN, headers={**UNSEEN, **policy})
    forget_attempt(answer, request.scope)
    keep_session(answer, request.scope, begun.secret)
    return answer
