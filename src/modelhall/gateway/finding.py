"""The service that a caller names, if he may use it: the same rule for every protocol."""

from __future__ import annotations

from typing import NamedTuple

from modelhall.core.access import Identity
from modelhall.core.errors import NotFound, NotNow, NotYours
from modelhall.gateway.routes import Route, Routes


class Wanted(NamedTuple):
    """A service as it is named."""

    project: str | None
    """None: the caller's own."""
    name: str
    version: str | None


def usable(routes: Routes, wanted: Wanted, who: Identity, *, hint: str, field: str | None = None) -> Route:
    """The service asked for. One of a project he may not use is as unknown as one that is not there: NotFound."""
    if not routes.loaded:
        raise NotNow("the gateway does not know its services yet", delay_s=1.0)
    project = wanted.project or who.project
    if not who.may("use", project):
        raise NotYours(_unknown(wanted, hint), project=project, field=field)
    route = routes.find(project, wanted.name)
    if route is None:
        raise NotFound(_unknown(wanted, hint), field=field)
    if wanted.version and route.endpoints and not route.has_version(wanted.version):
        raise NotFound(f"service {wanted.name!r} has no replica of version {wanted.version!r}", field=field)
    return route


def _unknown(wanted: Wanted, hint: str) -> str:
    return f"no service {wanted.name!r}; {hint}"


def usable_by(routes: Routes, who: Identity) -> list[Route]:
    """All services he may use."""
    return [route for route in routes if who.may("use", route.key.project)]


def name_for(route: Route, who: Identity) -> str:
    """What he calls it: with its project, where that is not his own."""
    key = route.key
    return key.name if key.project == who.project else f"{key.project}.{key.name}"
