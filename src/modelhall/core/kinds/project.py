"""`project`: a tenant."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelhall.core.access import Role
from modelhall.core.kinds.base import Document, Frozen, Resource, Status
from modelhall.core.kinds.limits import Budget, Limits
from modelhall.core.names import Name


class Quota(Frozen):
    """The most a project may hold at once."""

    cpus: float | None = Field(default=None, ge=0, description="Processor cores over all its runs.")


class Project(Document):
    kind: Literal["project"] = "project"
    description: str = ""
    members: dict[Name, Role] = Field(default_factory=dict, description="User → viewer, editor or admin.")
    quota: Quota = Field(default_factory=Quota)
    limits: Limits = Field(default_factory=Limits, description="What may be used of its services together.")
    budget: Budget | None = Field(
        default=None,
        description="What its services may charge for, such as 100/month; by the calendar, in UTC.",
    )


class ProjectStatus(Status):
    pass


ProjectResource = Resource[Project, ProjectStatus]
