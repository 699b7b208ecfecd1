"""`project`: a tenant."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelhall.core.access import Role
from modelhall.core.kinds.base import Document, Frozen, Resource, Status
from modelhall.core.names import Name


class Quota(Frozen):
    """The most a project may hold at once."""

    cpus: float | None = Field(default=None, ge=0, description="Processor cores over all its runs.")


class Project(Document):
    kind: Literal["project"] = "project"
    description: str = ""
    members: dict[Name, Role] = Field(default_factory=dict, description="User → viewer, editor or admin.")
    quota: Quota = Field(default_factory=Quota)


class ProjectStatus(Status):
    pass


ProjectResource = Resource[Project, ProjectStatus]
