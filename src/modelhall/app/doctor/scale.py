"""Whether services stand more than they are asked today."""

from __future__ import annotations

from collections.abc import Iterator

from modelhall.app.doctor.facts import Facts, Finding
from modelhall.core.kinds.scaling import Scaling

HELD_BACK = 0.8


def one_may_fail(facts: Facts) -> Iterator[Finding]:
    """Does a service go on when a replica fails."""
    for service in facts.services:
        replicas = service.document.replicas
        fewest = replicas.min if isinstance(replicas, Scaling) else replicas
        if fewest == 1 and not service.document.standby:
            yield Finding(
                "soon", service.key.path, "it has one replica: while that is started again, requests wait or fail",
                "`replicas: 2`, or `standby: 1`",
            )  # fmt: skip


def limits_are_far(facts: Facts) -> Iterator[Finding]:
    """Is a budget near its end."""
    for project in facts.projects:
        spent = facts.figure(project.key.path, "budget_used_share")
        if spent is not None and spent.value >= HELD_BACK:
            yield Finding(
                "now" if spent.value >= 1 else "soon", project.key.path,
                f"{spent.value:.0%} of this month's budget is spent; beyond it requests are refused",
                "a larger `budget`, or less use until the next month",
            )  # fmt: skip


def nobody_takes_all(facts: Facts) -> Iterator[Finding]:
    """Is one caller kept from taking all of a service."""
    if len(facts.tokens) < 2:
        return
    for service in facts.services:
        if service.document.limits == type(service.document.limits)():
            yield Finding(
                "someday", service.key.path, "several tokens may ask it, and one of them may take all of it",
                "`limits: {requests: 600/minute}` in the service, or in each token (docs/limits.md)",
            )  # fmt: skip


QUESTIONS = (one_may_fail, limits_are_far, nobody_takes_all)
