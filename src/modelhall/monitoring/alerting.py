"""From figures to alerts: which rules are met, by whom, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from modelhall.core.alerts import Alert, Rule
from modelhall.core.measures import measure, of
from modelhall.core.ports.sensor import Figure
from modelhall.core.units import show_seconds


class Alerting:
    """What rules are met at the moment."""

    def __init__(self, rules: Iterable[Rule], known: Iterable[Alert] = ()) -> None:
        """`known` are the alerts of before, such as of before a restart."""
        self._rules = {rule.name: rule for rule in rules if not rule.off}
        self._met = {alert.id: alert for alert in known if alert.rule in self._rules}

    @property
    def alerts(self) -> list[Alert]:
        """Those that fire, and those that will if it stays so long enough; the oldest first."""
        return sorted(self._met.values(), key=lambda alert: (not alert.firing, alert.since, alert.id))

    def look(self, seen: Mapping[str, Sequence[Figure]], now: float) -> list[Alert]:
        """Apply the rules to what was seen; the alerts that have begun to fire, and those that have ended."""
        before, self._met = self._met, {}
        changed = []
        for rule in self._rules.values():
            for subject, figure in _beyond(rule, seen):
                fresh = _alert(rule, subject, figure, now)
                known = before.get(fresh.id)
                # A clock that was set back has been beyond the limit since now, and not since a time to come.
                since = now if known is None else min(now, known.since)
                was_firing = known is not None and known.firing
                firing = was_firing or now - since >= rule.for_s
                self._met[fresh.id] = alert = fresh.model_copy(update={"since": since, "firing": firing})
                if firing and not was_firing:
                    changed.append(alert)
        ended = [alert for id, alert in before.items() if id not in self._met and alert.firing]
        return changed + [alert.model_copy(update={"firing": False, "ended_at": now}) for alert in ended]


def _beyond(rule: Rule, seen: Mapping[str, Sequence[Figure]]) -> Iterable[tuple[str, Figure]]:
    for subject, figures in seen.items():
        if of(subject) == rule.of:
            for figure in figures:
                if figure.name == rule.figure and rule.is_beyond(figure.value):
                    yield subject, figure


def _alert(rule: Rule, subject: str, figure: Figure, now: float) -> Alert:
    return Alert(
        rule=rule.name,
        subject=subject,
        part=figure.part,
        severity=rule.severity,
        labels=rule.labels,
        message=_message(rule, figure),
        value=figure.value,
        since=now,
        firing=False,
    )


def _message(rule: Rule, figure: Figure) -> str:
    known = measure(rule.of, rule.figure)
    assert known is not None
    limit = rule.above if rule.above is not None else rule.below
    assert limit is not None
    side = "above" if rule.above is not None else "below"
    about = "" if figure.measured else " (an estimate)"
    words = (
        f"{rule.figure} is {_shown(rule, figure.value)}{about}, {side} {_shown(rule, limit)}: {known.words}"
    )
    return f"{words} {rule.advice[:1].upper()}{rule.advice[1:]}".strip()


def _shown(rule: Rule, value: float) -> str:
    if rule.figure.endswith("_share"):
        return f"{value:.1%}"
    # Rates are in a second, and not seconds.
    if rule.figure in ("stalled_s", "disk_left_s", "latency_p95_s"):
        return show_seconds(value)
    return f"{value:.4g}"
