"""The kinds, and the way from JSON to them. A new kind is one file here and one line in `KINDS`."""

from __future__ import annotations

from typing import Any, NamedTuple

from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Document, Key, Problem, Resource, Resources, Status
from modelhall.core.kinds.dataset import Dataset, DatasetResource, DatasetStatus
from modelhall.core.kinds.model import Model, ModelResource, ModelStatus
from modelhall.core.kinds.node import Node, NodeResource, NodeStatus
from modelhall.core.kinds.project import Project, ProjectResource, ProjectStatus
from modelhall.core.kinds.result import Result, ResultResource
from modelhall.core.kinds.run import DONE, Run, RunResource, RunStatus
from modelhall.core.kinds.service import Service, ServiceResource, ServiceStatus
from modelhall.core.kinds.token import Token, TokenResource, TokenStatus
from modelhall.core.kinds.user import User, UserResource, UserStatus
from modelhall.core.names import did_you_mean


class Kind(NamedTuple):
    document: type[Document]
    status: type[Status]
    resource: type[Resource[Any, Any]]
    declared: bool
    """Whether people write it in hall files."""


AnyResource = Resource[Any, Any]

KINDS: dict[str, Kind] = {
    "project": Kind(Project, ProjectStatus, ProjectResource, True),
    "user": Kind(User, UserStatus, UserResource, True),
    "token": Kind(Token, TokenStatus, TokenResource, False),
    "dataset": Kind(Dataset, DatasetStatus, DatasetResource, True),
    "model": Kind(Model, ModelStatus, ModelResource, True),
    "service": Kind(Service, ServiceStatus, ServiceResource, True),
    "run": Kind(Run, RunStatus, RunResource, True),
    "node": Kind(Node, NodeStatus, NodeResource, False),
    "result": Kind(Result, Status, ResultResource, False),
}


def kind_named(name: str) -> Kind:
    """The kind called `name`, singular or plural; raises Rejected with a suggestion otherwise."""
    kind = KINDS.get(name) or KINDS.get(name.removesuffix("s"))
    if kind is None:
        public = [name for name in KINDS if name != "result"]
        raise Rejected(f"no kind {name!r}; {did_you_mean(name, public)}", field="kind", status=404)
    return kind


def resource_from_json(kind: str, data: str | bytes) -> AnyResource:
    """The inverse of `resource.model_dump_json()`."""
    return KINDS[kind].resource.model_validate_json(data)


def rests(resource: AnyResource) -> bool:
    """Whether nothing is to be done for it until somebody changes it. Most of what a hall keeps is at rest, so the
    loop holds only what is not."""
    kind = resource.document.kind
    return kind == "result" or (kind == "run" and resource.status.state in DONE and not resource.deleting)


def is_settled(resource: AnyResource) -> bool:
    """Whether it was as declared when it was looked at last."""
    seen = resource.status.observed_generation == resource.generation
    return seen and not resource.deleting and resource.status.state in ("ready", "refused")


__all__ = [
    "KINDS", "AnyResource", "Dataset", "Document", "Key", "Kind", "Model", "Node", "Problem", "Project",
    "Resource", "Resources", "Result", "Run", "Service", "Status", "Token", "User", "is_settled", "kind_named",
    "resource_from_json", "rests",
]  # fmt: skip
