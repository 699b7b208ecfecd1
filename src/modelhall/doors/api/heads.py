"""Before everything else: a request whose head could be read in two ways gets no further.

The rules are in `core/request_head.py`; `connection.py` has kept them on the wire already. Here they hold for whoever
calls the API, such as a server of another make, and for every path, known or not.
"""

from __future__ import annotations

from fastapi import FastAPI

from modelhall.core.errors import HallError, Rejected
from modelhall.core.request_head import check_headers, check_path, check_query
from modelhall.doors.api.answers import error_response
from modelhall.doors.api.asgi import App, Receive, Scope, Send


def install(api: FastAPI) -> None:
    """Check heads first of all; to be called last, since what is added last stands outermost."""
    api.add_middleware(_Heads)


class _Heads:
    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "only HTTP is spoken here"})
            return
        if scope["type"] == "http":
            try:
                _check(scope)
            except HallError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _check(scope: Scope) -> None:
    headers: list[tuple[bytes, bytes]] = list(scope["headers"])
    check_headers(headers)
    decoded = scope["path"].encode(errors="surrogatepass")
    path = scope.get("raw_path") or decoded
    check_path(path)
    if path != decoded:
        raise Rejected(f"the path was sent as {path!r} and read as {decoded!r}")
    check_query(scope["query_string"])
    _check_coding(dict(headers))


def _check_coding(headers: dict[bytes, bytes]) -> None:
    coding = headers.get(b"content-encoding", b"identity")
    if coding.lower() != b"identity":
        # A few packed bytes can be any number of unpacked ones.
        raise Rejected(f"a body is sent as it is, without Content-Encoding: {coding!r}", status=415)
