"""Asking a service from a page. Gateways take no cookies, so what a page asks goes through here, to the gateway, as
the same caller by the token that his session is: the same rights, limits and bills as anywhere else.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Literal

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask

from modelhall.app.hall import Hall
from modelhall.core.errors import NotNow
from modelhall.doors.api.asking import TheHall, Word
from modelhall.doors.place import authority_of
from modelhall.trust.sessions import session_in
from modelhall.trust.tls import client_context

router = APIRouter(include_in_schema=False)

PATHS = {
    "infer": "/v2/models/{0}/infer",
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
LONGEST_S = 600.0
TOLD = ("content-type", "x-request-id", "retry-after")
"""Headers of an answer that a page has a use for."""


@router.get("/ask/{project}/{name}")
async def metadata(project: Word, name: Word, request: Request, hall: TheHall) -> Response:
    """What a service takes and gives, in the words of the Open Inference Protocol."""
    return await _passed_on(hall, request, f"/v2/models/{project}.{name}", b"")


@router.post("/ask/{project}/{name}/{way}")
async def ask(
    project: Word,
    name: Word,
    way: Literal["infer", "chat", "completions", "embeddings"],
    request: Request,
    hall: TheHall,
) -> Response:
    """Ask a service. The body is that of the gateway's own path; of OpenAI's paths, `model` says `PROJECT.NAME`."""
    path = PATHS[way].format(f"{project}.{name}")
    return await _passed_on(hall, request, path, await request.body())


async def _passed_on(hall: Hall, request: Request, path: str, body: bytes) -> Response:
    """The gateway's answer, as it comes. Raises NotNow when the gateway is away."""
    client = httpx.AsyncClient(
        base_url=hall.addresses["gateway"], trust_env=False, verify=_trusted(hall), timeout=LONGEST_S
    )
    headers = {"authorization": _authorization(request), "content-type": "application/json"}
    asked = client.build_request(request.method, path, content=body, headers=headers)
    try:
        answer = await client.send(asked, stream=True)
    except httpx.TransportError as error:
        await client.aclose()
        raise NotNow(
            f"the gateway does not answer ({type(error).__name__}); it is started again in a moment",
            delay_s=2.0,
        ) from None
    return StreamingResponse(
        _pieces(answer),
        status_code=answer.status_code,
        headers={name: answer.headers[name] for name in TOLD if name in answer.headers},
        background=BackgroundTask(client.aclose),
    )


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The answer piece by piece; whether it is whole, its format says."""
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    finally:
        await answer.aclose()


def _authorization(request: Request) -> str:
    session = session_in(dict(request.scope["headers"]))
    return request.headers["authorization"] if session is None else f"Bearer {session.decode('latin-1')}"


def _trusted(hall: Hall) -> ssl.SSLContext | bool:
    """What the gateway's certificate is checked with; nothing where it needs none, on loopback."""
    if not hall.addresses["gateway"].startswith("https"):
        return False
    return client_context(authority_of(hall.settings, is_local=True))
