"""Projects: nothing to be made true but their end. One that is marked for removal is empty already."""

from __future__ import annotations

from modelhall.control.actions import Action, Remove
from modelhall.core.kinds.project import ProjectResource


def reconcile(resource: ProjectResource) -> list[Action]:
    """Let go of a project that is to go."""
    return [Remove(resource=resource)] if resource.deleting else []
