"""The route that tells what changes, as it changes, in server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from modelhall.app.feed import Filter, Watch
from modelhall.core.errors import HallError, NotNow, Rejected
from modelhall.doors.api.answers import error_body
from modelhall.doors.api.asking import Labels, TheHall, kind_of

router = APIRouter(prefix="/api/v1")

RECONNECT_S = 1.0
"""After how long a browser comes back by itself when the stream has ended."""
NEWEST = 2**63 - 1

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

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
    return Stream(await hall.feed.watch(wanted, _revision(last_event_id) if last_event_id else after))


class Stream(Response):
    """A watch as an answer without end.

    Plain ASGI: there may be a thousand of them, each is written to at every change, and Starlette's own streaming
    answer spends several times as much on each.
    """

    media_type = "text/event-stream"

    def __init__(self, watch: Watch) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._watch = watch

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        with self._watch as watch:
            leaving = asyncio.create_task(_end_when_gone(watch, receive))
            try:
                await _tell(watch, send)
            finally:
                leaving.cancel()


async def _tell(watch: Watch, send: Send) -> None:
    told = b"retry: %d\n\n" % int(RECONNECT_S * 1000) + watch.bookmark()
    while told:
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


async def _end_when_gone(watch: Watch, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watch.end()


def _revision(text: str) -> int:
    if not text.isdecimal() or int(text[:20]) > NEWEST:
        raise Rejected(f"an event's id is a revision, not {text[:40]!r}", field="Last-Event-ID")
    return int(text)
