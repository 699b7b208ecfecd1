"""Who may come in: every request shows a token, except for the paths in `OPEN`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from modelhall.core.errors import Denied, HallError, Rejected
from modelhall.doors.api.answers import error_response
from modelhall.trust.tokens import Authenticator

OPEN = ("/api/v1/health", "/api/v1/ready")
LARGEST_BODY_BYTES = 8 * 2**20
TOO_LARGE = f"a body may have {LARGEST_BODY_BYTES} bytes"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def install(api: FastAPI, authenticate: Authenticator) -> None:
    """Put the guard before every route, known or not."""
    api.add_middleware(_Guard, authenticate=authenticate)


class _Guard:
    """Plain ASGI, so that it stands before routing and sees what is not HTTP too."""

    def __init__(self, app: Any, authenticate: Authenticator) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except HallError as error:
            await error_response(error, challenge=scope.get("path") == "/")(scope, receive, send)
            return
        await self._app(scope, _limited(receive), send)

    def _check(self, scope: Scope) -> None:
        if scope["type"] != "http":
            raise Denied("only HTTP is spoken here")
        headers = dict(scope["headers"])
        size = headers.get(b"content-length", b"0")
        if not size.isdigit() or int(size) > LARGEST_BODY_BYTES:
            raise Rejected(TOO_LARGE, status=413)
        if scope["path"] not in OPEN:
            scope.setdefault("state", {})["identity"] = self._authenticate(
                _bearer(headers.get(b"authorization"))
            )


def _limited(receive: Receive) -> Receive:
    """Counts what comes, since a body sent in chunks does not tell its size beforehand."""
    received = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY_BYTES:
            # Not Rejected: FastAPI takes any other error while it reads a body for a broken body.
            raise HTTPException(413, TOO_LARGE)
        return message

    return counted


def _bearer(value: bytes | None) -> bytes | None:
    """A browser can only show a token as the password of Basic authentication; take it for the token it is."""
    if value is None or not value.lower().startswith(b"basic "):
        return value
    try:
        _, _, password = base64.b64decode(value[6:].strip(), validate=True).partition(b":")
    except binascii.Error:
        return value
    return b"Bearer " + password
