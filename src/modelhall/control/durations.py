"""How long work is expected to take, told by a run that did the like before."""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from typing import Any

from modelhall.core.kinds.run import RunResource


def took_s(run: RunResource) -> float:
    """How long the attempts of a run took that are over."""
    return fsum(
        attempt.exit.ended_at - attempt.started_at
        for attempt in run.status.attempts
        if attempt.exit is not None
    )


def times_as_long(run: RunResource, order: Mapping[str, Any]) -> float:
    """How many times as long as `run` a stage takes with this order: as many more epochs as it trains."""
    before = run.document.stage.order.get("train", {}) if run.document.stage is not None else {}
    now = order.get("train", {})
    return now["epochs"] / before["epochs"] if now.get("epochs") and before.get("epochs") else 1.0


def expected_s(run: RunResource | None, order: Mapping[str, Any]) -> float | None:
    """How long a stage with this order will take; None where nothing like it has come to a result."""
    if run is None or run.status.state != "succeeded":
        return None
    return took_s(run) * times_as_long(run, order) or None
