"""What the pages' routes have in common: a mistake is told on a page, not as JSON, where a browser asks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute

from modelhall.core.errors import HallError, NotYours, Rejected
from modelhall.doors.api.gate import note_refused
from modelhall.doors.console.rendering import page


def pages() -> APIRouter:
    """A router for pages, which the API's description leaves out."""
    return APIRouter(include_in_schema=False, route_class=_Page)


class _Page(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except (RequestValidationError, HallError) as error:
                if not hasattr(request.state, "identity"):
                    raise  # there is nobody yet whose page it would be
                return _told(request, error)

        return shown


def _told(request: Request, error: RequestValidationError | HallError) -> Response:
    if isinstance(error, RequestValidationError):
        mistake = error.errors()[0]
        error = Rejected(mistake["msg"], field=".".join(str(part) for part in mistake["loc"][1:]))
    if isinstance(error, NotYours):
        note_refused(request.app.state.hall.guarding.gate, request, error)
    return page(request, "error.html", status=error.status, error=error)
