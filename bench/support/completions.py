"""OpenAI's completions at the gateway that is measured: of one service, for whoever may use it, and no more."""

from __future__ import annotations

from collections.abc import Callable

from modelhall.core.access import Identity
from modelhall.core.errors import NotFound
from modelhall.gateway.forward import Call, forward
from modelhall.gateway.messages import Request, Response
from modelhall.gateway.record import Record
from modelhall.gateway.routes import Routes


class Completions:
    def __init__(self, routes: Routes, service: str, now: Callable[[], float]) -> None:
        self._routes = routes
        self._service = service
        self._now = now

    async def answer(self, request: Request, who: Identity, record: Record) -> Response:
        route = self._routes.find(who.project, self._service)
        if route is None:
            raise NotFound("the service is not known yet")
        record.service, record.metered = route.key, True
        line = b"POST %b HTTP/1.1\r\n" % request.path
        return await forward(Call(route=route, line=line, resumable=True), request, record, self._now)
