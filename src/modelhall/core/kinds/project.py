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
    gpus: float | None = Field(default=None, ge=0, description="GPUs over all its runs.")
    borrow: bool = Field(
        default=False,
        description="Whether the quota is the project's own and no limit: it may hold more as long as nobody claims "
        "it, others hold what it leaves, and it claims that back.",
    )


class Project(Document):
    kind: Literal["project"] = "project"
    description: str = ""
    members: dict[Name, Role] = Field(default_factory=dict, description="User → viewer, editor or admin.")
    weight: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="Its share of what is asked for by more than there is room for.",
    )
    quota: Quota = Field(default_factory=Quota)
    limits: Limits = Field(default_factory=Limits, description="What may be used of its services together.")
    budget: Budget | None = Field(
        default=None,
        description="What its services may charge for, such as 100/month; by the calendar, in UTC.",
    )


class ProjectStatus(Status):
    use: float = 0.0
    """Its share of the hall's machines over the last days, the longer ago the less it counts, at `use_at`."""
    use_at: float = 0.0


ProjectResource = Resource[Project, ProjectStatus]
