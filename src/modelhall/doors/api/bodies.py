"""Between the guard and the routes: every body in JSON is read strictly, whichever route it is for.

What it means is left to the routes, and how large it may be to the guard.
"""

from __future__ import annotations

import re

from fastapi import FastAPI

from modelhall.core import strict_json
from modelhall.core.errors import HallError, Rejected
from modelhall.doors.api.answers import error_response
from modelhall.doors.api.asgi import App, Message, Receive, Scope, Send

_JSON = re.compile(rb'application/json(?: *; *charset="?utf-8"?)?', re.IGNORECASE)
_TEXT = re.compile(rb'text/plain(?: *; *charset="?utf-8"?)?|application/octet-stream', re.IGNORECASE)


def install(api: FastAPI) -> None:
    """Read bodies for all routes; to be called before the guard is put before it."""
    api.add_middleware(_Bodies)


class _Bodies:
    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                receive = await _checked(scope, receive)
            except HallError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _checked(scope: Scope, receive: Receive) -> Receive:
    """What the route receives from; raises Rejected."""
    sent_as = dict(scope["headers"]).get(b"content-type")
    # Not one of them is read in a way of its own: whatever a route's reader would take for JSON, such as
    # application/x+json or another charset, has either been read strictly or come no further.
    if sent_as is None or _TEXT.fullmatch(sent_as):
        return receive
    if not _JSON.fullmatch(sent_as):
        raise Rejected(
            f"a body is application/json, or text/plain for a secret, not {sent_as[:60]!r}", status=415
        )
    body, ending = await whole(receive)
    if body:
        strict_json.loads(body)
    return again(body, ending, receive)


async def whole(receive: Receive) -> tuple[bytes, Message | None]:
    """The whole body; with it the message that the caller has gone, if he has."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"", message
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks), None


def again(body: bytes, ending: Message | None, receive: Receive) -> Receive:
    """Hand out what has been received, then what comes."""
    ready: list[Message] = [ending or {"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return ready.pop() if ready else await receive()

    return replay
