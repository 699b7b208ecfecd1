"""The control API: everything the command line and the client can do, over HTTP.

`create(hall)` puts it together. Every route but health and readiness wants a token: that is settled before a request
reaches any route, so a new route is closed until somebody opens it on purpose.
"""

from __future__ import annotations

from fastapi import FastAPI

from modelhall.app.hall import Hall
from modelhall.doors.api import answers, guard, pages, resources, secrets, watch, work
from modelhall.version import __version__


def create(hall: Hall) -> FastAPI:
    """The API of `hall` as an ASGI application."""
    api = FastAPI(
        title="Modelhall control API",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    api.state.hall = hall
    answers.install(api)
    guard.install(api, hall.authenticate)
    # `/{kinds}` answers for any word, so what has a name of its own comes first.
    for part in (work, watch, secrets, pages, resources):
        api.include_router(part.router)
    return api
