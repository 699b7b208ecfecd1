"""What a replica has to do to a request before the model sees it: the steps that the training rows went through.

A request gives the columns the task reads, as they were before the first step that changes them. From there on it
goes the same way, with the same fitted numbers; steps that drop, split or put rows in order are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelhall.core import plugins

FILE = "preparation.json"


def preparation(steps: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> dict[str, Any] | None:
    """The part of `steps` that requests go through, as tasks/_preparation.py reads it; `columns` says for each input
    of the task which column it is trained on. None when there is nothing to do."""
    names = dict(columns)
    start, given = len(steps), names
    for place in reversed(range(len(steps))):
        step = steps[place]
        names = {part: _before(step, name) for part, name in names.items()}
        if not set(names.values()) <= set(step.get("before", ())):
            break
        start, given = place, names
    through = [step for step in steps[start:] if _is_for_requests(step)]
    if not through or not columns:
        return None
    return {
        "given": given,
        "read": dict(columns),
        "types": steps[start]["before"],
        "steps": [{key: step[key] for key in ("name", "options", "fitted")} for step in through],
    }


def _before(step: Mapping[str, Any], name: str) -> str:
    """What a column was called before a step."""
    module = plugins.load("step", step["name"])
    if not hasattr(module, "origin"):
        return name
    options = plugins.options_for("step", step["name"], "origin", step["options"])
    return str(module.origin(name, **options))


def _is_for_requests(step: Mapping[str, Any]) -> bool:
    module = plugins.load("step", step["name"])
    return hasattr(module, "apply") and getattr(module, "REQUESTS", True)
