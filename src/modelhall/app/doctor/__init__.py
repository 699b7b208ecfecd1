"""The doctor looks over a hall: what in it is not as good practice has it, and what to do about each.

One file an area, one function a question; all of them ask the same facts, which are gathered once.
"""

from __future__ import annotations

from modelhall.app.doctor import cost, deployment, safety, scale, speed
from modelhall.app.doctor.facts import Facts

AREAS = {
    "deployment": deployment.QUESTIONS,
    "speed": speed.QUESTIONS,
    "safety": safety.QUESTIONS,
    "scale": scale.QUESTIONS,
    "cost": cost.QUESTIONS,
}
URGENCY = ("now", "soon", "someday")


def examine(facts: Facts) -> list[dict[str, str]]:
    """All findings, the most urgent first, each with its area."""
    found = [
        {"area": area, **finding._asdict()}
        for area, questions in AREAS.items()
        for question in questions
        for finding in question(facts)
    ]
    return sorted(found, key=lambda finding: URGENCY.index(finding["urgency"]))
