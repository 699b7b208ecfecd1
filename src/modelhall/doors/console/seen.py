"""What sensors saw last, as pages look it up: by subject, then by the name of the figure."""

from __future__ import annotations

from typing import Any

from modelhall.app.hall import Hall
from modelhall.app.monitoring import asked
from modelhall.core.access import Identity


def by_subject(who: Identity, hall: Hall) -> dict[str, dict[str, Any]]:
    """The figures of the last look that he may see, those of parts left out."""
    return {
        subject: {one["name"]: one for one in its if not one["part"]}
        for subject, its in asked.seen_by(who, hall.watching.seen).items()
    }
