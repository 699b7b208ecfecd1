"""The control API: everything the command line and the client can do, over HTTP; and the console beside it.

`create(hall)` puts it together. Every route but health and readiness wants a token: that is settled before a request
reaches any route, so a new route is closed until somebody opens it on purpose.
"""

from __future__ import annotations

from fastapi import Depends, FastAPI

from modelhall.app.hall import Hall
from modelhall.doors.api import (
    alerts,
    allowances,
    answers,
    asking,
    audit,
    audited,
    bodies,
    datasets,
    description,
    gate,
    guard,
    hall_files,
    heads,
    keys,
    metrics,
    models,
    monitoring,
    nodes,
    people,
    permissions,
    queue,
    resources,
    rollouts,
    secrets,
    sessions,
    single_sign_on,
    watch,
    work,
)
from modelhall.doors.console import asking as asking_services
from modelhall.doors.console import assets
from modelhall.doors.console.pages import ROUTERS
from modelhall.version import __version__


def create(hall: Hall) -> FastAPI:
    """The API of `hall` as an ASGI application."""
    api = FastAPI(
        title="Modelhall control API",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=answers.DOCUMENTED,
        dependencies=[
            Depends(asking.once_each),
            Depends(permissions.check),
            Depends(sessions.keep_alive),
        ],
    )
    api.state.hall = hall
    answers.install(api)
    description.install(api)
    audited.install(api, hall.auditing)
    bodies.install(api)
    guard.install(api, hall.directory.bearer, hall.signing_in.proofs)
    gate.install(api, hall.guarding.gate)
    heads.install(api)
    # `/{kinds}` answers for any word, so what has a name of its own comes first.
    for part in (
        work,
        monitoring,
        alerts,
        queue,
        datasets,
        models,
        rollouts,
        watch,
        sessions,
        single_sign_on,
        secrets,
        audit,
        keys,
        people,
        metrics,
        allowances,
        hall_files,
        assets,
        asking_services,
        nodes,
        resources,
    ):
        api.include_router(part.router)
    for router in ROUTERS:
        api.include_router(router)
    return api
