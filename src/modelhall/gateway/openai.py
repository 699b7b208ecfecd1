"""The OpenAI API: which service each request under `/v1` is for. What else it says, the replica reads.

The body is read here for its `model` alone: a service by name, `PROJECT.NAME` for another project's, `NAME:ADAPTER`
for an adapter beside its own model, `NAME@VERSION` for one version. What it took is read off what the replica says of
it (`metering.py`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any

from pydantic_core import from_json

from modelhall.core.access import Identity
from modelhall.core.errors import NotFound, Rejected
from modelhall.core.names import PATTERN, VERSION
from modelhall.gateway.desk import Desk
from modelhall.gateway.finding import Wanted, name_for, usable, usable_by
from modelhall.gateway.forward import Call
from modelhall.gateway.messages import Request, Response, as_json
from modelhall.gateway.openai_files import Files
from modelhall.gateway.record import Record
from modelhall.gateway.routes import Route, Routes
from modelhall.gateway.wishes import pinned, source_of

FORWARDED = (b"/v1/chat/completions", b"/v1/completions", b"/v1/embeddings")
"""What replicas answer."""
_MODELS = b"/v1/models"
_NAME = re.compile(
    rf"(?:(?P<project>{PATTERN})\.)?(?P<name>{PATTERN})(?::(?P<adapter>{PATTERN}))?(?:@(?P<version>{VERSION}))?"
)
_HINT = "GET /v1/models lists them"


class OpenAI:
    """Answers `/v1/…` for somebody who has shown who he is."""

    def __init__(self, routes: Routes, desk: Desk, files: Files | None = None) -> None:
        """Without `files` there are none, nor batches."""
        self._routes = routes
        self._desk = desk
        self._files = files

    def answer(self, request: Request, who: Identity, record: Record) -> Awaitable[Response]:
        """Answer a caller; raises HallError."""
        if request.path in FORWARDED:
            return self._forward(request, who, record)
        return self._tell(request, who)

    async def _tell(self, request: Request, who: Identity) -> Response:
        """What no replica is asked."""
        path = request.path
        if path == _MODELS:
            _only(request, b"GET")
            shown = [
                _shown(route, who, adapter)
                for route in usable_by(self._routes, who)
                for adapter in ("", *route.adapters)
            ]
            return as_json({"object": "list", "data": shown})
        if path.startswith(_MODELS + b"/"):
            _only(request, b"GET")
            name = path[len(_MODELS) + 1 :].decode("latin-1")
            wanted = _read_name(name)
            return as_json(_shown(self._route(wanted, who), who, wanted.adapter))
        if self._files is not None and path.startswith((b"/v1/files", b"/v1/batches")):
            return await self._files.answer(request, who)
        raise NotFound("there is nothing at this path; try POST /v1/chat/completions or GET /v1/models")

    async def _forward(self, request: Request, who: Identity, record: Record) -> Response:
        _only(request, b"POST")
        wanted = pinned(request, _read_name(_model_in(await request.read())))
        route = self._route(wanted, who)
        line = b"POST %b HTTP/1.1\r\n" % request.path
        source = source_of(request, who)
        call = Call(
            route=route,
            line=line,
            version=wanted.version,
            source=source,
            resumable=True,
            adapter=wanted.adapter,
        )
        return await self._desk.answer(call, request, who, record)

    def _route(self, wanted: Wanted, who: Identity) -> Route:
        return usable(self._routes, wanted, who, hint=_HINT, field="model")


@lru_cache(maxsize=1024)
def _read_name(name: str) -> Wanted:
    """A service as it is named, with its project and version; raises NotFound."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise NotFound(f"no service {name[:80]!r}; {_HINT}", field="model")
    return Wanted(match["project"], match["name"], match["version"], match["adapter"] or "")


def _model_in(body: bytes) -> str:
    """The `model` of a request; raises Rejected. Whatever else is wrong with the body, the replica says."""
    try:
        message: Any = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise Rejected(f"not JSON: {error}") from None
    model = message.get("model") if isinstance(message, dict) else None
    if not isinstance(model, str):
        raise Rejected("the body is a JSON object whose `model` names a service", field="model")
    return model


def _shown(route: Route, who: Identity, adapter: str = "") -> dict[str, Any]:
    above = {"parent": name_for(route, who)} if adapter else {}
    return {
        "id": name_for(route, who, adapter), "object": "model", "created": int(route.created_at),
        "owned_by": route.key.project, **above,
    }  # fmt: skip


def _only(request: Request, method: bytes) -> None:
    if request.method != method:
        raise Rejected(f"this path takes {method.decode()} only", status=405)
