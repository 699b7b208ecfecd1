"""The service that a caller names, if he may use it: the same rule for every protocol."""

from __future__ import annotations

from typing import NamedTuple

from modelhall.core.access import Identity
from modelhall.core.adapter_names import called
from modelhall.core.errors import NotFound, NotNow, NotYours
from modelhall.gateway.routes import Route, Routes

MOST_LISTED = 40
COMING_S = 5.0
"""When to ask again for an adapter whose replicas are starting."""


class Wanted(NamedTuple):
    """A service, or an adapter of one, as it is named."""

    project: str | None
    """None: the caller's own."""
    name: str
    version: str | None
    adapter: str = ""
    """Empty: the service's own model."""

    @property
    def called(self) -> str:
        """Without its project and version."""
        return called(self.name, self.adapter)


def usable(routes: Routes, wanted: Wanted, who: Identity, *, hint: str, field: str | None = None) -> Route:
    """The service asked for. One of a project he may not use is as unknown as one that is not there: NotFound. NotNow
    for an adapter that no replica has yet."""
    if not routes.loaded:
        raise NotNow("the gateway does not know its services yet", delay_s=1.0)
    project = wanted.project or who.project
    if not who.may("use", project):
        raise NotYours(_unknown(wanted, hint), project=project, field=field)
    route = routes.find(project, wanted.name)
    if route is None:
        raise NotFound(_unknown(wanted, hint), field=field)
    if wanted.adapter:
        _check_adapter(route, wanted, field)
    if wanted.version and route.endpoints and not route.has_version(wanted.version, wanted.adapter):
        raise NotFound(f"service {wanted.called!r} has no replica of version {wanted.version!r}", field=field)
    return route


def _check_adapter(route: Route, wanted: Wanted, field: str | None) -> None:
    """Raise NotFound for one that is not declared, whoever may have it yet, and NotNow for one that nobody has."""
    declared = sorted(route.document.adapters)
    if wanted.adapter not in declared:
        shown = ", ".join(called(wanted.name, one) for one in declared[:MOST_LISTED])
        more = f" and {len(declared) - MOST_LISTED} more" if len(declared) > MOST_LISTED else ""
        there = f"there is: {shown}{more}" if declared else "it has none"
        raise NotFound(f"service {wanted.name!r} has no adapter {wanted.adapter!r}; {there}", field=field)
    if route.endpoints and not route.has_adapter(wanted.adapter):
        raise NotNow(f"{wanted.called!r} is declared, and no replica serves it yet", delay_s=COMING_S)


def _unknown(wanted: Wanted, hint: str) -> str:
    return f"no service {wanted.name!r}; {hint}"


def usable_by(routes: Routes, who: Identity) -> list[Route]:
    """All services he may use."""
    return [route for route in routes if who.may("use", route.key.project)]


def name_for(route: Route, who: Identity, adapter: str = "") -> str:
    """What he calls it, or an adapter of it: with its project, where that is not his own."""
    key = route.key
    name = called(key.name, adapter)
    return name if key.project == who.project else f"{key.project}.{name}"
