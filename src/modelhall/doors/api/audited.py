"""Between the guard and the routes: whatever may change something goes into the audit log, whichever route it is.

The intent is on the disk before the route is asked, and what came of it before the caller hears. What cannot be
written down is refused.
"""

from __future__ import annotations

import hashlib
import re

from fastapi import FastAPI

from modelhall.app.audit.auditing import Auditing
from modelhall.core.errors import HallError
from modelhall.doors.api.answers import error_response
from modelhall.doors.api.asgi import App, Message, Receive, Scope, Send
from modelhall.doors.api.bodies import again, whole
from modelhall.doors.api.gate import address_of

READING = ("GET", "HEAD", "OPTIONS")
ASKING = "/ask/"
"""Where services are asked: it changes nothing, the gateway's journal has it, and the answer is told as it comes."""
BY_ORDER = re.compile("/api/v1/nodes/[^/]*/(beat|object|state/file)")
"""What agents of nodes say and move, several times a second: what they do, they do by what is on record already."""
SECRET = re.compile("/api/v1/(secrets/.*|users/[^/]*/password|datasets/[^/]*/erase)")
"""What is sent there can be guessed at by its digest, which would stay in the log for ever."""


def install(api: FastAPI, auditing: Auditing) -> None:
    """Write down what is asked of all routes; to be called before the guard is put before it."""
    api.add_middleware(_Audited, auditing=auditing)


class _Audited:
    def __init__(self, app: App, auditing: Auditing) -> None:
        self._app = app
        self._auditing = auditing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity = scope.get("state", {}).get("identity")
        # Where nobody is asked who he is, nothing can be changed, but for sign-ins, which are written down as such.
        needless = scope["method"] in READING or scope["path"].startswith(ASKING)
        if identity is None or needless or BY_ORDER.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        answer = _Answer()
        try:
            body, ending = await whole(receive)
            await self._carry_out(scope, again(body, ending, receive), answer, body)
        except HallError as error:
            await error_response(error)(scope, receive, send)
            return
        for message in answer.messages:
            await send(message)

    async def _carry_out(self, scope: Scope, receive: Receive, answer: _Answer, body: bytes) -> None:
        """Ask the route; its answer is kept until it is on record."""
        state = scope["state"]
        async with self._auditing.action(
            who=state["identity"].name,
            address=address_of(scope),
            verb=f"{scope['method']} {scope['path']}",
            targets=[_target(scope)],
            request="" if SECRET.fullmatch(scope["path"]) else hashlib.sha256(body).hexdigest(),
        ) as action:
            await self._app(scope, receive, answer.take)
            action.outcome(revisions=state.get("revisions", {}), status=answer.status)


def _target(scope: Scope) -> str:
    query = scope["query_string"].decode("ascii", "replace")
    return f"{scope['path']}?{query}" if query else str(scope["path"])


class _Answer:
    """What the route answers, kept for a while. What changes something is answered with little."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.status = 0

    async def take(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        self.messages.append(message)
