"""Alerts posted to a URL, in the words of Alertmanager's webhook (prometheus.io/docs/alerting/latest/configuration,
`webhook_config`, version 4), which chat systems and pagers understand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from modelhall.core.alerts import Alert
from modelhall.core.errors import NotNow

TIMEOUT_S = 10.0
RECEIVER = "modelhall"


class WebhookNotice:
    """The notice port over HTTP. The URL is not told in errors: whoever knows it may post there."""

    def __init__(self, url: str, *, hall: Callable[[], str]) -> None:
        """`hall` says where people find the hall."""
        self._url = url
        self._hall = hall

    async def send(self, alerts: Sequence[Alert]) -> None:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
                answer = await client.post(self._url, json=_body(alerts, self._hall()))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotNow(f"the webhook cannot be reached ({type(error).__name__})", delay_s=10) from None
        if not answer.is_success:
            raise NotNow(f"the webhook answered {answer.status_code}", delay_s=10)


def _body(alerts: Sequence[Alert], hall: str) -> dict[str, Any]:
    told = [_alert(alert, hall) for alert in alerts]
    return {
        "version": "4",
        "groupKey": RECEIVER,
        "truncatedAlerts": 0,
        "status": "firing" if any(alert.firing for alert in alerts) else "resolved",
        "receiver": RECEIVER,
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": hall,
        "alerts": told,
    }


def _alert(alert: Alert, hall: str) -> dict[str, Any]:
    part = {"part": alert.part} if alert.part else {}
    labels = {"alertname": alert.rule, "subject": alert.subject, "severity": alert.severity}
    return {
        "status": "firing" if alert.firing else "resolved",
        "labels": {**labels, **part, **alert.labels},
        "annotations": {"summary": alert.message},
        "startsAt": _instant(alert.since),
        "endsAt": _instant(alert.ended_at) if alert.ended_at is not None else "0001-01-01T00:00:00Z",
        "generatorURL": hall,
        "fingerprint": alert.id,
    }


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
