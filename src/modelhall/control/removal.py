"""Removal: what is to go goes last, after what was made for it, and not while others name it.

Runs are the exception: they have to be stopped first, so their own reconciler lets go of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhall.control import work
from modelhall.control.actions import Action, Remove, update_status
from modelhall.control.view import View
from modelhall.core.kinds import AnyResource
from modelhall.core.kinds.run import RunResource


@dataclass(frozen=True, kw_only=True)
class Facts:
    runs: list[RunResource]
    """The runs made for it, also those that are over."""
    users: list[AnyResource]
    """Who names it."""
    inside: list[AnyResource]
    """What is in it, if it is a project."""


async def observe(resource: AnyResource, view: View) -> Facts:
    """Find everything that has to go first."""
    is_project = resource.key.kind == "project"
    return Facts(
        runs=await view.all_runs_of(resource.key),
        users=view.users_of(resource.key),
        inside=await view.all_in(resource.key.name) if is_project else [],
    )


def reconcile(resource: AnyResource, facts: Facts) -> list[Action]:
    """Take the next step towards the end of a resource that is to go."""
    if facts.runs:
        return work.remove_all(facts.runs)
    # What was computed in a project is no use to anybody else, and goes with it.
    results = [found for found in facts.inside if found.key.kind == "result"]
    holding = [*facts.users, *(found for found in facts.inside if found.key.kind != "result")]
    if holding:
        more = f" and {len(holding) - 1} more" if len(holding) > 1 else ""
        return update_status(resource, reason=f"is removed when {holding[0].key}{more} no longer needs it")
    return [*(Remove(resource=result) for result in results), Remove(resource=resource)]
