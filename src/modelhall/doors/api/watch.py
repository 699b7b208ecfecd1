"""The route that tells what changes, as it changes, in server-sent events."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from modelhall.app.feed import Filter, Watch
from modelhall.core.errors import HallError, NotNow, Rejected
from modelhall.doors.api.answers import error_body
from modelhall.doors.api.asgi import Receive, Scope, Send
from modelhall.doors.api.asking import Labels, TheHall, kind_of

router = APIRouter(prefix="/api/v1")

RECONNECT_S = 1.0
"""After how long a browser comes back by itself when the stream has ended."""
NEWEST = 2**63 - 1
_REVISION = re.compile("[0-9]{1,19}")

SCHEMA = {
    200: {
        "description": "Events `changed` and `removed` with data {kind, project, name, revision, resource}; "
        "`bookmark` now and then with data {revision}, in between comments; `gone` with an error, at the end, when "
        "the history that is yet to be told was forgotten. Every id is a revision to come back with.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    410: {
        "description": "What has happened since `after` is not known any more: list, and watch from there."
    },
}


@router.get("/watch", response_class=Response, responses=SCHEMA)  # type: ignore[arg-type]
async def watch(
    request: Request,
    hall: TheHall,
    labels: Labels,
    kind: Annotated[
        list[str] | None, Query(description="May be given several times; all kinds if not.")
    ] = None,
    project: str | None = None,
    name: str | None = None,
    after: Annotated[
        int | None,
        Query(ge=0, le=NEWEST, description="The revision that is known already; now if not given."),
    ] = None,
    last_event_id: Annotated[
        str | None, Header(description="Goes before `after`: a browser sends it when it comes back.")
    ] = None,
) -> Response:
    """Every change from now on, or after a revision, of what matches.

    Of a resource that has changed several times only the newest state may be told.
    """
    wanted = Filter(
        identity=request.state.identity,
        kinds=frozenset(map(kind_of, kind or ())),
        project=project,
        name=name,
        labels=frozenset(labels.items()),
    )
    found = await hall.feed.watch(wanted, _revision(last_event_id) if last_event_id else after)

    async def is_same() -> bool:
        # A right that was taken away before something happened must be known to be gone before that is told.
        await hall.follower.reach(found.at)
        now = request.state.identify()
        # As a rule it is the very same, and a thousand who watch are asked at every change.
        return now is wanted.identity or now == wanted.identity

    return Stream(found, is_same)


MayGoOn = Callable[[], Awaitable[bool]]


class Stream(Response):
    """A watch as an answer without end.

    Plain ASGI: there may be a thousand of them, each is written to at every change, and Starlette's own streaming
    answer spends several times as much on each.
    """

    media_type = "text/event-stream"

    def __init__(self, watch: Watch, may_go_on: MayGoOn) -> None:
        """`may_go_on` says whether whoever watches may still do what he might when he came; it may raise
        HallError."""
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._watch = watch
        self._may_go_on = may_go_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        with self._watch as watch:
            leaving = asyncio.create_task(_end_when_gone(watch, receive))
            try:
                await _tell(watch, send, self._may_go_on)
            finally:
                leaving.cancel()


async def _tell(watch: Watch, send: Send, may_go_on: MayGoOn) -> None:
    told = b"retry: %d\n\n" % int(RECONNECT_S * 1000) + watch.bookmark()
    while told and await _is_true(may_go_on):
        await send({"type": "http.response.body", "body": told, "more_body": True})
        try:
            told = await watch.next()
        except NotNow as error:
            told = b": %s\n\n" % " ".join(error.message.split()).encode()
            await asyncio.sleep(error.delay_s)
        except HallError as error:
            told = b"event: gone\ndata: %s\n\n" % json.dumps(error_body(error)).encode()
            await send({"type": "http.response.body", "body": told, "more_body": True})
            break
    await send({"type": "http.response.body", "body": b""})


async def _is_true(may_go_on: MayGoOn) -> bool:
    """Whoever cannot be checked is told nothing: he comes back, and goes on after the last event he had."""
    try:
        return await may_go_on()
    except HallError:
        return False


async def _end_when_gone(watch: Watch, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watch.end()


def _revision(text: str) -> int:
    if not _REVISION.fullmatch(text) or int(text) > NEWEST:
        raise Rejected(f"an event's id is a revision, not {text[:40]!r}", field="Last-Event-ID")
    return int(text)
