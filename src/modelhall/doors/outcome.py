"""Whether what is declared has become true, is on its way, or cannot become so, as its status tells."""

from __future__ import annotations

from modelhall.core.errors import Failed, HallError, Rejected
from modelhall.core.kinds import AnyResource

GOOD, BAD = ("ready", "succeeded"), ("failed", "refused", "cancelled")
TRUE_AT_ONCE = ("project", "user")
"""Kinds that are true by being declared: nothing is made of them."""


def is_pending(resource: AnyResource) -> bool:
    """Whether the hall is still at it."""
    if resource.key.kind in TRUE_AT_ONCE:
        return False
    return not _is_dealt_with(resource) or resource.status.state not in (*GOOD, *BAD)


def failure_of(resource: AnyResource) -> HallError | None:
    """Why a resource cannot become what is declared: Rejected when its declaration is to blame, Failed when the
    work did not succeed. None when it can, or is."""
    status = resource.status
    if not _is_dealt_with(resource) or status.state not in BAD:
        return None
    problem = status.problem
    # A command that ended badly is no mistake of its declaration, unless it could not even be started.
    if problem is not None and problem.who == "caller" and (problem.field or resource.key.kind != "run"):
        return Rejected(f"{resource.key}: {problem.message}", field=problem.field)
    return Failed(f"{resource.key} {status.state}: {status.reason}")


def _is_dealt_with(resource: AnyResource) -> bool:
    """Whether the status is about the document as it is now."""
    return resource.key.kind == "run" or resource.status.observed_generation >= resource.generation
