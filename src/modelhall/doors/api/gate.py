"""The gate before the API's guard, and the turnstile behind it.

Before anybody is asked who he is: is the request for this hall, may it come from that page, is the address locked,
does it ask too much? Behind the guard, which has found out who it is: does he ask too much? The rules are those of
`trust/gate.py`.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.middleware import Middleware

from modelhall.core.errors import HallError, NotYours
from modelhall.doors.api.answers import error_response
from modelhall.doors.api.asgi import App, Message, Receive, Scope, Send
from modelhall.trust.gate import Gate

UNAUTHORIZED = 401


def install(api: FastAPI, gate: Gate) -> None:
    """Stand before whatever was installed up to now, the guard among it, and behind all of it; and hear of those who
    ask for what is another project's."""
    api.add_exception_handler(NotYours, lambda request, error: _not_yours(gate, request, error))
    api.add_middleware(_Gate, gate=gate)
    api.user_middleware.append(Middleware(_Turnstile, gate=gate))


def note_refused(gate: Gate, request: Request, error: NotYours) -> None:
    """Tell the gate that somebody asked for what is another project's."""
    gate.refused(request.state.identity, error.project, address_of(request.scope))


def _not_yours(gate: Gate, request: Request, error: Exception) -> Response:
    assert isinstance(error, NotYours)
    note_refused(gate, request, error)
    return error_response(error)


def address_of(scope: Scope) -> str:
    """Where a request comes from; empty when the server does not say."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class _Gate:
    """Plain ASGI: it sees every request, also those that the guard refuses."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address, headers = address_of(scope), dict(scope["headers"])
        try:
            self._gate.admit(address, scope["method"], headers)
        except HallError as error:
            await error_response(error)(scope, receive, send)
            return

        async def heard(message: Message) -> None:
            if message.get("status") == UNAUTHORIZED and "identity" not in scope.get("state", {}):
                self._gate.unknown(address, headers)
            await send(message)

        await self._app(scope, receive, heard)


class _Turnstile:
    """Between the guard and the routes."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity = scope.get("state", {}).get("identity") if scope["type"] == "http" else None
        if identity is not None:
            try:
                self._gate.known(identity, address_of(scope), dict(scope["headers"]))
            except HallError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
