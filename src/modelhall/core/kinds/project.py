"""`project`: a tenant."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelhall.core.kinds.base import Document, Frozen, Resource, Status


class Quota(Frozen):
    """The most a project may hold at once."""

    cpus: float | None = Field(default=None, ge=0, description="Processor cores over all its runs.")


class Project(Document):
    kind: Literal["project"] = "project"
    description: str = ""
    quota: Quota = Field(default_factory=Quota)


class ProjectStatus(Status):
    pass


ProjectResource = Resource[Project, ProjectStatus]
