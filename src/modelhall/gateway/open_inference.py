"""The Open Inference Protocol: what each path under `/v2` asks for, and the answers known without a replica.

See https://github.com/kserve/open-inference-protocol. Health is not here: it needs no identity.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from modelhall.core.access import Identity
from modelhall.core.errors import NotFound, Rejected
from modelhall.core.names import PATTERN, VERSION
from modelhall.gateway.desk import Desk
from modelhall.gateway.finding import Wanted, name_for, usable, usable_by
from modelhall.gateway.forward import Call, forward
from modelhall.gateway.messages import Request, Response, as_json
from modelhall.gateway.record import Record
from modelhall.gateway.routes import Route, Routes
from modelhall.gateway.wishes import pinned, source_of
from modelhall.version import __version__

_MODEL = re.compile(
    rf"/v2/models/(?:(?P<project>{PATTERN})\.)?(?P<name>{PATTERN})(?::(?P<adapter>{PATTERN}))?"
    rf"(?:/versions/(?P<version>{VERSION}))?(?:/(?P<verb>infer|ready))?"
)


class OpenInference:
    """Answers `/v2/…` for somebody who has shown who he is."""

    def __init__(self, routes: Routes, desk: Desk, now: Callable[[], float]) -> None:
        self._routes = routes
        self._desk = desk
        self._now = now

    async def answer(self, request: Request, who: Identity, record: Record) -> Response:
        """Answer a caller; raises HallError."""
        if request.path == b"/v2":
            _only(request, b"GET")
            return as_json(
                {"name": "modelhall", "version": __version__, "extensions": ["binary_tensor_data"]}
            )
        if request.path == b"/v2/repository/index":
            _only(request, b"POST")
            await request.read()
            return as_json([
                _listed(route, who, adapter)
                for route in usable_by(self._routes, who)
                for adapter in ("", *route.adapters)
            ])  # fmt: skip
        asked = _read_path(request.path)
        _only(request, b"POST" if asked.verb == "infer" else b"GET")
        wanted = pinned(request, Wanted(asked.project, asked.name, asked.version, asked.adapter or ""))
        route = usable(self._routes, wanted, who, hint="POST /v2/repository/index lists them")
        record.service, record.adapter = route.key, wanted.adapter
        if asked.verb == "ready":
            ready = route.healthy > 0 or route.rests
            return as_json({"name": wanted.called, "ready": ready}, 200 if ready else 503)
        line = _line(asked.verb, route.key.name)
        source = source_of(request, who)
        call = Call(route=route, line=line, version=wanted.version, source=source, adapter=wanted.adapter)
        if asked.verb == "infer":
            return await self._desk.answer(call, request, who, record)
        return await forward(call, request, record, self._now)


class _Asked(NamedTuple):
    project: str | None
    name: str
    adapter: str | None
    version: str | None
    verb: str | None
    """infer, ready, or None for the model's description."""


@lru_cache(maxsize=1024)
def _read_path(path: bytes) -> _Asked:
    match = _MODEL.fullmatch(path.decode("latin-1"))
    if match is None:
        raise NotFound("there is nothing at this path; try /v2/models/NAME/infer")
    return _Asked(**match.groupdict())


@lru_cache(maxsize=1024)
def _line(verb: str | None, name: str) -> bytes:
    start = f"POST /v2/models/{name}/infer" if verb == "infer" else f"GET /v2/models/{name}"
    return f"{start} HTTP/1.1\r\n".encode()


def _only(request: Request, method: bytes) -> None:
    if request.method != method:
        raise Rejected(f"this path takes {method.decode()} only", status=405)


def _listed(route: Route, who: Identity, adapter: str) -> dict[str, Any]:
    ready = route.healthy > 0 or route.rests
    return {
        "name": name_for(route, who, adapter),
        "version": route.version_of(adapter) or "",
        "state": "READY" if ready else "UNAVAILABLE",
        "reason": "" if ready else "no replica is ready",
    }
