"""What somebody is told of what is seen: of the resources he may look at, and of the hall if he runs it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelhall.app.monitoring.alarms import Alarms
from modelhall.app.monitoring.watching import HALL, Seen
from modelhall.core.access import Identity
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.kinds import KINDS, Key
from modelhall.core.ports.history import History
from modelhall.core.ports.sensor import Figure
from modelhall.trust.permissions import check_look, check_operator, may_look

MOST_STEPS = 5_000
MOST_WAITING = 8
"""Questions about the past that are answered or wait at a time."""


def seen_by(who: Identity, seen: Seen) -> dict[str, list[dict[str, Any]]]:
    """The figures of the last look."""
    return {subject: _told(figures) for subject, figures in seen.items() if _may_look(who, subject)}


class Past:
    """Answers questions about what was."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._waiting = 0

    async def of(
        self, who: Identity, subject: str, name: str | None, *, since: float, until: float, step_s: float
    ) -> dict[str, Any]:
        """The figures of one subject between two instants: all of them, or the one named; by wider steps than asked
        for where there would be too many. Raises Rejected, NotYours or Denied, and NotNow when too many ask."""
        check_subject(who, subject)
        step_s = max(step_s, (until - since) / MOST_STEPS)
        if self._waiting >= MOST_WAITING:
            raise NotNow(f"{MOST_WAITING} questions about the past are waiting already", delay_s=1.0)
        self._waiting += 1
        try:
            names = await self._history.names(subject) if name is None else [name]
            return {
                "subject": subject,
                "step_s": step_s,
                "figures": {
                    each: await self._history.read(subject, each, since=since, until=until, step_s=step_s)
                    for each in names
                },
            }
        finally:
            self._waiting -= 1


def alerts_for(who: Identity, alarms: Alarms) -> dict[str, Any]:
    """The alerts about what he may look at; the silences for those who run the hall."""
    told = alarms.told()
    return {
        "alerts": [alert for alert in told["alerts"] if _may_look(who, alert["subject"])],
        "silences": told["silences"] if "operate" in who.everywhere else [],
    }


def check_subject(who: Identity, subject: str) -> None:
    """Raise Rejected unless it is one, and NotYours or Denied unless he may look at it."""
    if subject == HALL:
        check_operator(who)
    else:
        check_look(who, _key(subject))


def _may_look(who: Identity, subject: str) -> bool:
    return "operate" in who.everywhere if subject == HALL else may_look(who, _key(subject))


def _key(subject: str) -> Key:
    parts = subject.split("/")
    if len(parts) != 3 or parts[0] not in KINDS:
        raise Rejected(
            f"figures are of a node, a run or a service, such as node/default/local, or of {HALL!r}, "
            f"not of {subject[:100]!r}",
            field="subject",
        )
    return Key(*parts)


def _told(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    return [
        {
            "name": figure.name,
            "part": figure.part,
            "value": figure.value,
            "measured": figure.measured,
            "source": figure.source,
        }
        for figure in figures
    ]
