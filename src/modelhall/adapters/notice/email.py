"""Alerts by e-mail, through a mail server (SMTP), encrypted where it offers that."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from email.message import EmailMessage

from modelhall.core.alerts import Alert
from modelhall.core.errors import NotNow

TIMEOUT_S = 20.0


class EmailNotice:
    """The notice port over SMTP."""

    def __init__(
        self,
        *,
        server: str,
        sender: str,
        to: Sequence[str],
        user: str = "",
        password: str = "",
        hall: Callable[[], str],
    ) -> None:
        """`server` is `host:port`. With a user the connection has to be encrypted. `hall` says where people find
        the hall."""
        host, _, port = server.rpartition(":")
        self._address = host, int(port)
        self._sender = sender
        self._to = tuple(to)
        self._login = user, password
        self._hall = hall

    async def send(self, alerts: Sequence[Alert]) -> None:
        try:
            await asyncio.to_thread(self._send, _message(alerts, self._sender, self._to, self._hall()))
        except (OSError, smtplib.SMTPException) as error:
            raise NotNow(f"the mail server does not take it ({type(error).__name__})", delay_s=60) from None

    def _send(self, message: EmailMessage) -> None:
        with smtplib.SMTP(*self._address, timeout=TIMEOUT_S) as server:
            server.ehlo()
            if self._login[0] or server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            if self._login[0]:
                server.login(*self._login)
            server.send_message(message)


def _message(alerts: Sequence[Alert], sender: str, to: Sequence[str], hall: str) -> EmailMessage:
    firing = [alert for alert in alerts if alert.firing]
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(to)
    what = f"{len(firing)} firing" if firing else "over"
    first = (firing or list(alerts))[0]
    message["Subject"] = " ".join(f"[hall] {what}: {first.rule} {first.subject}".split())
    lines = [_line(alert) for alert in alerts]
    message.set_content("\n".join([*lines, "", f"{hall}/"]))
    return message


def _line(alert: Alert) -> str:
    state = alert.severity.upper() if alert.firing else "over"
    since = datetime.fromtimestamp(alert.since).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return f"{state}  {alert.rule}  {alert.subject} {alert.part}\n    {alert.message}\n    since {since}"
