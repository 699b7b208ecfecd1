"""Who may come in: every request shows a token or a session's cookie, except for what is open to everybody."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping

from fastapi import FastAPI
from starlette.responses import Response

from modelhall.core.access import Identity
from modelhall.core.errors import Denied, HallError, Rejected
from modelhall.doors.api.answers import error_response
from modelhall.doors.api.asgi import App, Message, Receive, Scope, Send
from modelhall.doors.api.cookies import forget_session
from modelhall.doors.api.permissions import FOR_EVERYBODY
from modelhall.doors.console.ways import to_sign_in, wants_page
from modelhall.trust.sessions import COOKIE, Proofs, is_session, session_in

UNAUTHORIZED = 401
LARGEST_BODY_BYTES = 8 * 2**20
TOO_LARGE = f"a body may have {LARGEST_BODY_BYTES} bytes"
MOVED = re.compile("/api/v1/nodes/[^/]*/(object|state/file)")
"""Files on their way, which have any size; they go to the disk as they come, once it is known who sends them."""

Bearer = Callable[[bytes | None], Callable[[], Identity]]
"""The value of the Authorization header → what tells who that is now; both raise Denied and NotNow."""


def install(api: FastAPI, bearer: Bearer, proofs: Proofs) -> None:
    """Put the guard before every route, known or not."""
    api.add_middleware(_Guard, bearer=bearer, proofs=proofs)


class _Guard:
    """Plain ASGI, so that it stands before routing and sees what is not HTTP too."""

    def __init__(self, app: App, bearer: Bearer, proofs: Proofs) -> None:
        self._app = app
        self._bearer = bearer
        self._proofs = proofs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except HallError as error:
            answer = _refusal(scope, error)
            if error.status == UNAUTHORIZED:
                forget_session(answer, scope)  # it is over; shown again and again it would pass for guessing
            await answer(scope, receive, send)
            return
        await self._app(scope, receive if _moves_a_file(scope) else _limited(receive), send)

    def _check(self, scope: Scope) -> None:
        if scope["type"] != "http":
            raise Denied("only HTTP is spoken here")
        headers = dict(scope["headers"])
        size = headers.get(b"content-length", b"0")
        if not size.isdigit() or (int(size) > LARGEST_BODY_BYTES and not _moves_a_file(scope)):
            raise Rejected(TOO_LARGE, status=413)
        if (scope["method"], scope["path"]) not in FOR_EVERYBODY:
            state = scope.setdefault("state", {})
            session = session_in(headers)
            identify = self._by_token(headers) if session is None else self._by_session(session, headers)
            state["identity"] = identify()
            # For answers that go on for long: who it is then.
            state["identify"] = identify
            if session is not None:
                self._proofs.check(session, scope["method"], headers)

    def _by_token(self, headers: Mapping[bytes, bytes]) -> Callable[[], Identity]:
        return self._bearer(_token_shown(headers.get(b"authorization")))

    def _by_session(self, session: bytes, headers: Mapping[bytes, bytes]) -> Callable[[], Identity]:
        """Raises Rejected when a token is shown as well: who it is then would depend on who looks."""
        if b"authorization" in headers:
            raise Rejected(f"show a token or the cookie {COOKIE}, not both")

        bearer = self._bearer(b"Bearer " + session)

        def identify() -> Identity:
            who = bearer()
            if not is_session(who):
                raise Denied(f"the cookie {COOKIE} holds no session; sign in", status=UNAUTHORIZED)
            return who

        return identify


def _refusal(scope: Scope, error: HallError) -> Response:
    """Who has not shown who he is, and sits at a browser, is asked to sign in."""
    is_stranger = error.status == UNAUTHORIZED and scope["type"] == "http"
    if is_stranger and wants_page(scope["method"], dict(scope["headers"])):
        return to_sign_in(scope["path"], scope["query_string"].decode("ascii", "replace"))
    return error_response(error)


def _moves_a_file(scope: Scope) -> bool:
    return MOVED.fullmatch(scope["path"]) is not None


def _limited(receive: Receive) -> Receive:
    """Counts what comes, since a body sent in chunks does not tell its size beforehand."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY_BYTES:
            raise Rejected(TOO_LARGE, status=413)
        return message

    return counted


def _token_shown(value: bytes | None) -> bytes | None:
    """Tools that know nothing but Basic authentication show a token as its password; take it for the token it is."""
    if value is None or not value.lower().startswith(b"basic "):
        return value
    try:
        _, _, password = base64.b64decode(value[6:].strip(), validate=True).partition(b":")
    except binascii.Error:
        return value
    return b"Bearer " + password
