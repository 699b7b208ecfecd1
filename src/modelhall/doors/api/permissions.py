"""What every route takes to be asked: a table of all of them, and the check that goes by it.

A route that is not in the table is refused to everybody. Where what is asked for depends on what stands in the body,
as with `apply`, the route checks each part by itself, and says so here with `IN_ROUTE`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from modelhall.core.access import Identity, Verb
from modelhall.core.errors import Denied
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.doors.api.asking import kind_of
from modelhall.doors.console import assets
from modelhall.trust import permissions

Check = Callable[[Identity, Request], None]


def who_asks(request: Request) -> Identity:
    """Who the guard has found out that it is."""
    identity = request.state.identity
    assert isinstance(identity, Identity)
    return identity


Who = Annotated[Identity, Depends(who_asks)]


def check(request: Request) -> None:
    """Raise Denied or NotFound unless whoever asks may ask this; before anything is looked up."""
    rule = RULES.get((request.method, request.scope["route"].path))
    if rule is None:
        raise Denied("nobody may ask this: it has no rule")
    if rule is not OPEN:
        rule(who_asks(request), request)


def OPEN(identity: Identity, request: Request) -> None:
    """For everybody, without a token."""


def ANYBODY(identity: Identity, request: Request) -> None:
    """For whoever has a token: it tells of nobody's resources."""


def IN_ROUTE(identity: Identity, request: Request) -> None:
    """The route itself leaves out, or refuses, what is not his."""


def OPERATOR(identity: Identity, request: Request) -> None:
    permissions.check_operator(identity)


def JOINS(identity: Identity, request: Request) -> None:
    """For a machine that shows an invitation."""
    permissions.check_joins(identity)


def ITSELF(identity: Identity, request: Request) -> None:
    """For the agent of the node that the path names."""
    permissions.check_node(identity, request.path_params["name"])


def in_query(verb: Verb) -> Check:
    """Takes a verb in the project named by the query."""
    return lambda identity, request: permissions.check(identity, verb, _project(request))


def in_path(verb: Verb, part: str = "project") -> Check:
    """Takes a verb in the project named by the path."""
    return lambda identity, request: permissions.check(identity, verb, request.path_params[part])


def look(identity: Identity, request: Request) -> None:
    """Takes what it takes to look at the resource that the path names."""
    permissions.check_look(identity, _key(request))


def change(identity: Identity, request: Request) -> None:
    """Takes what it takes to change it."""
    permissions.check_change(identity, _key(request))


RULES: dict[tuple[str, str], Check] = {
    ("GET", "/api/v1/health"): OPEN,
    ("GET", "/api/v1/ready"): OPEN,
    ("POST", "/api/v1/session"): OPEN,
    ("GET", "/api/v1/session/oidc/start"): OPEN,
    ("GET", "/api/v1/session/oidc/callback"): OPEN,
    ("GET", "/api/v1/session"): ANYBODY,
    ("DELETE", "/api/v1/session"): ANYBODY,
    ("GET", "/api/openapi.json"): ANYBODY,
    ("GET", "/api/v1/schema"): ANYBODY,
    ("GET", "/api/v1/whoami"): ANYBODY,
    ("POST", "/api/v1/hall-file"): ANYBODY,
    ("GET", "/metrics"): OPERATOR,
    ("GET", "/api/v1/status"): IN_ROUTE,
    ("POST", "/api/v1/apply"): IN_ROUTE,
    ("GET", "/api/v1/events"): IN_ROUTE,
    ("GET", "/api/v1/queue"): IN_ROUTE,
    ("GET", "/api/v1/watch"): IN_ROUTE,
    ("GET", "/api/v1/{kinds}"): IN_ROUTE,
    ("GET", "/api/v1/{kinds}/{name}"): look,
    ("DELETE", "/api/v1/{kinds}/{name}"): change,
    ("GET", "/api/v1/{kinds}/{name}/limits"): look,
    ("POST", "/api/v1/runs/{name}/cancel"): in_query("change"),
    ("POST", "/api/v1/runs/{name}/resume"): in_query("change"),
    ("GET", "/api/v1/runs/{name}/log"): in_query("see"),
    ("GET", "/api/v1/runs/{name}/outlook"): in_query("see"),
    ("GET", "/api/v1/runs/{name}/record"): in_query("see"),
    ("GET", "/api/v1/services/{name}/rollout"): in_query("see"),
    ("POST", "/api/v1/services/{name}/rollout/{act}"): in_query("change"),
    ("GET", "/api/v1/models/{name}/card"): in_query("see"),
    ("GET", "/api/v1/models/{name}/compare"): in_query("see"),
    ("GET", "/api/v1/datasets/{name}/rows"): in_query("see"),
    ("GET", "/api/v1/datasets/{name}/record"): in_query("see"),
    ("GET", "/api/v1/datasets/{name}/compare"): in_query("see"),
    ("GET", "/api/v1/datasets/{name}/export"): in_query("see"),
    ("POST", "/api/v1/datasets/{name}/erase"): in_query("change"),
    ("GET", "/api/v1/figures"): IN_ROUTE,
    ("GET", "/api/v1/doctor"): OPERATOR,
    ("GET", "/api/v1/history"): IN_ROUTE,
    ("GET", "/api/v1/alerts"): IN_ROUTE,
    ("POST", "/api/v1/silences"): OPERATOR,
    ("DELETE", "/api/v1/silences/{id}"): OPERATOR,
    ("GET", "/api/v1/bill"): IN_ROUTE,
    ("GET", "/api/v1/bill/export"): IN_ROUTE,
    ("GET", "/api/v1/trace/{request}"): IN_ROUTE,
    ("GET", "/api/v1/secrets/{project}"): in_path("change"),
    ("GET", "/api/v1/secrets/{project}/{name}"): in_path("change"),
    ("PUT", "/api/v1/secrets/{project}/{name}"): in_path("change"),
    ("DELETE", "/api/v1/secrets/{project}/{name}"): in_path("change"),
    ("POST", "/api/v1/tokens"): IN_ROUTE,
    ("POST", "/api/v1/tokens/{name}/rotate"): in_query("manage"),
    ("POST", "/api/v1/tokens/{name}/suspend"): in_query("manage"),
    ("POST", "/api/v1/tokens/{name}/resume"): in_query("manage"),
    ("DELETE", "/api/v1/tokens/{name}"): in_query("manage"),
    ("PUT", "/api/v1/projects/{name}/members/{user}"): in_path("manage", "name"),
    ("DELETE", "/api/v1/projects/{name}/members/{user}"): in_path("manage", "name"),
    ("PUT", "/api/v1/users/{name}/password"): IN_ROUTE,
    ("GET", "/api/v1/keys"): OPERATOR,
    ("POST", "/api/v1/keys/root/rotate"): OPERATOR,
    ("POST", "/api/v1/keys/projects/{project}/rotate"): OPERATOR,
    ("DELETE", "/api/v1/keys/projects/{project}"): OPERATOR,
    ("POST", "/api/v1/nodes/invite"): OPERATOR,
    ("POST", "/api/v1/nodes/join"): JOINS,
    ("PATCH", "/api/v1/nodes/{name}"): OPERATOR,
    ("POST", "/api/v1/nodes/{name}/remove"): OPERATOR,
    ("POST", "/api/v1/nodes/{name}/beat"): ITSELF,
    ("GET", "/api/v1/nodes/{name}/blobs"): ITSELF,
    ("GET", "/api/v1/nodes/{name}/object"): ITSELF,
    ("PUT", "/api/v1/nodes/{name}/object"): ITSELF,
    ("GET", "/api/v1/nodes/{name}/state"): ITSELF,
    ("GET", "/api/v1/nodes/{name}/state/file"): ITSELF,
    ("PUT", "/api/v1/nodes/{name}/state/file"): ITSELF,
    ("DELETE", "/api/v1/nodes/{name}/state/file"): ITSELF,
    ("GET", "/api/v1/audit"): OPERATOR,
    ("GET", "/api/v1/audit/head"): OPERATOR,
    ("GET", "/api/v1/audit/verify"): OPERATOR,
    **{("GET", path): OPEN for path in assets.PATHS},
    ("GET", "/sign-in"): OPEN,
    ("GET", "/preferences"): OPEN,
    ("GET", "/"): IN_ROUTE,
    ("GET", "/datasets"): IN_ROUTE,
    ("GET", "/datasets/{project}/{name}"): in_path("see"),
    ("GET", "/datasets/{project}/{name}/content"): in_path("see"),
    ("GET", "/models"): IN_ROUTE,
    ("GET", "/models/{project}/{name}"): in_path("see"),
    ("GET", "/models/{project}/{name}/card"): in_path("see"),
    ("GET", "/services"): IN_ROUTE,
    ("GET", "/services/{project}/{name}"): in_path("see"),
    ("GET", "/ask/{project}/{name}"): in_path("use"),
    ("POST", "/ask/{project}/{name}/{way}"): in_path("use"),
    ("GET", "/runs"): IN_ROUTE,
    ("GET", "/runs/{project}/{name}"): in_path("see"),
    ("GET", "/nodes"): OPERATOR,
    ("GET", "/alerts"): IN_ROUTE,
    ("GET", "/ledger"): IN_ROUTE,
    ("GET", "/requests"): ANYBODY,
    ("GET", "/requests/{id}"): IN_ROUTE,
    ("GET", "/projects"): IN_ROUTE,
    ("GET", "/audit"): OPERATOR,
    ("GET", "/apply"): ANYBODY,
}

FOR_EVERYBODY = frozenset(route for route, rule in RULES.items() if rule is OPEN)
"""(method, path) of what the guard lets through without asking who it is. None of these paths has parts that vary."""


def _project(request: Request) -> str:
    return request.query_params.get("project", DEFAULT_PROJECT)


def _key(request: Request) -> Key:
    return Key(kind_of(request.path_params["kinds"]), _project(request), request.path_params["name"])
