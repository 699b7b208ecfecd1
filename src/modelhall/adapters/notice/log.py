"""Alerts in the hall's own log: always on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from modelhall.core.alerts import Alert

log = logging.getLogger(__name__)


class LogNotice:
    """The notice port over the log."""

    async def send(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            level = logging.WARNING if alert.firing else logging.INFO
            state = "firing" if alert.firing else "ended"
            log.log(level, "alert.%s rule=%s subject=%s %s", state, alert.rule, alert.subject, alert.message)
