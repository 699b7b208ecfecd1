"""The alerts of one hall: rules are applied at every look, and whoever should be told is told until it has been done.

What fires, what nobody was told of yet, and which silences there are, is in `alerts.json` in the home: a restart
tells people nothing a second time, and a kill keeps nothing from them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modelhall.adapters.notice.email import EmailNotice
from modelhall.adapters.notice.log import LogNotice
from modelhall.adapters.notice.webhook import WebhookNotice
from modelhall.app.monitoring.watching import Seen
from modelhall.core import files
from modelhall.core.alerts import DEFAULTS, Alert, Rule, Silence
from modelhall.core.errors import NotFound, NotNow, Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.notice import Notice
from modelhall.monitoring.alerting import Alerting
from modelhall.settings import Settings

FILE = "alerts.json"
MOST_WAITING = 1_000
"""Of each way to tell people; the oldest are let go of when nobody could be told for long."""
MOST_SILENCES = 1_000
RETRY_S = 10.0

log = logging.getLogger(__name__)


class Alarms:
    """Alerts, silences, and the ways to tell people."""

    def __init__(
        self,
        folder: Path,
        rules: Sequence[Rule],
        notices: Mapping[str, Notice],
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._path = folder / FILE
        kept = _read(self._path)
        self._alerting = Alerting(rules, kept.alerts)
        self._silences = {silence.id: silence for silence in kept.silences}
        self._told = set(kept.told)
        """The ids of those that fire and that people were told of, or are being told."""
        self._channels = [_Channel(name, notice, kept.untold) for name, notice in notices.items()]
        self._clock = clock
        self._new_id = new_id
        self._news = asyncio.Event()

    async def look(self, seen: Seen) -> None:
        """Apply the rules to what was seen, and have people be told what has changed."""
        now = self._clock.now()
        changed = self._alerting.look(seen, now)
        over = [id for id, silence in self._silences.items() if silence.until <= now]
        for id in over:
            del self._silences[id]
        due = self._due(changed, now)
        for channel in self._channels:
            channel.waiting += due
        if changed or over or due:
            await self._keep()
        if due:
            self._news.set()

    async def run(self) -> None:
        """Tell people as soon as there is something to tell, and again what could not be told; for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), RETRY_S)
            self._news.clear()
            await self.tell()

    async def tell(self) -> None:
        """Tell people what they have not been told yet, by all ways at once."""
        if self._untold():
            await asyncio.gather(*(channel.tell() for channel in self._channels))
            await self._keep()

    def told(self) -> dict[str, Any]:
        """All alerts there are at the moment, whether somebody is told of them or not, and the silences."""
        now = self._clock.now()
        return {
            "alerts": [
                {**alert.model_dump(mode="json"), "silenced": self._is_silent(alert, now)}
                for alert in self._alerting.alerts
            ],
            "silences": [silence.model_dump(mode="json") for silence in self._silences.values()],
        }

    @property
    def firing(self) -> list[Alert]:
        """The alerts that fire, told or not."""
        return [alert for alert in self._alerting.alerts if alert.firing]

    async def silence(self, *, rule: str, subject: str, for_s: float, reason: str, by: str) -> Silence:
        """Tell nobody of some alerts for a while."""
        if len(self._silences) >= MOST_SILENCES:
            raise Rejected(f"there are {MOST_SILENCES} silences already; remove some")
        silence = Silence(
            id=self._new_id(),
            rule=rule,
            subject=subject,
            until=self._clock.now() + for_s,
            reason=reason,
            by=by,
        )
        self._silences[silence.id] = silence
        await self._keep()
        return silence

    async def end_silence(self, id: str) -> None:
        """Have people be told again; raises NotFound."""
        if self._silences.pop(id, None) is None:
            raise NotFound(f"no silence {id!r}; `hall alerts` lists those there are")
        await self._keep()

    def _due(self, changed: Sequence[Alert], now: float) -> list[Alert]:
        """What people are to be told now: what fires and is not silenced, or not any more, and what is over of what
        they were told of."""
        begun = [alert for alert in self.firing if alert.id not in self._told]
        ended = [alert for alert in changed if not alert.firing and alert.id in self._told]
        due = [alert for alert in (*begun, *ended) if not self._is_silent(alert, now)]
        self._told |= {alert.id for alert in due}
        self._told &= {alert.id for alert in self.firing}
        return due

    def _untold(self) -> tuple[Alert, ...]:
        """What somebody has not been told yet."""
        return tuple({repr(alert): alert for channel in self._channels for alert in channel.waiting}.values())

    def _is_silent(self, alert: Alert, now: float) -> bool:
        return any(silence.covers(alert, now) for silence in self._silences.values())

    async def _keep(self) -> None:
        kept = _Kept(
            alerts=tuple(self._alerting.alerts),
            silences=tuple(self._silences.values()),
            told=tuple(sorted(self._told)),
            untold=self._untold(),
        )
        await asyncio.to_thread(files.write_json, self._path, kept.model_dump(mode="json"))


class _Kept(Frozen):
    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
    told: tuple[str, ...] = ()
    untold: tuple[Alert, ...] = ()


class _Channel:
    """One way to tell people, and what they have not been told yet."""

    def __init__(self, name: str, notice: Notice, waiting: Sequence[Alert]) -> None:
        self.waiting: deque[Alert] = deque(waiting, maxlen=MOST_WAITING)
        """What is to be told, oldest first."""
        self._name = name
        self._notice = notice
        self._last_words = ""

    async def tell(self) -> None:
        """Tell all that waits, or leave it waiting where that cannot be done."""
        told = list(self.waiting)
        if not told:
            return
        try:
            await self._notice.send(told)
        except NotNow as error:
            if error.message != self._last_words:
                log.error("alert.untold by=%s alerts=%d reason=%s", self._name, len(told), error.message)
            self._last_words = error.message
            return
        self._last_words = ""
        # Others may have come meanwhile, and pushed the oldest out.
        self.waiting = deque((alert for alert in self.waiting if alert not in told), maxlen=MOST_WAITING)


def open_alarms(
    settings: Settings, clock: Clock, new_id: Callable[[], str], hall: Callable[[], str]
) -> Alarms:
    """The alarms as the operator has set them; `hall` says where people find it. Raises Rejected when what he says
    cannot be."""
    return Alarms(settings.home, rules_of(settings), notices_of(settings, hall), clock, new_id)


def rules_of(settings: Settings) -> list[Rule]:
    """The rules that are on by default, but where the operator has others of the same name, and his own."""
    rules = {rule.name: rule for rule in DEFAULTS}
    if settings.power_limit_w is not None:
        power = Rule(
            name="power-over-limit", of="node", figure="power_w", above=settings.power_limit_w, for_s=30,
            severity="critical", advice="stop runs, or have some wait",
        )  # fmt: skip
        rules[power.name] = power
    return list((rules | {rule.name: rule for rule in settings.alerts}).values())


def notices_of(settings: Settings, hall: Callable[[], str]) -> dict[str, Notice]:
    """The log, and what the operator has named besides."""
    notices: dict[str, Notice] = {"log": LogNotice()}
    if settings.alert_webhook is not None:
        notices["webhook"] = WebhookNotice(settings.alert_webhook.get_secret_value(), hall=hall)
    if settings.alert_email_to:
        if not settings.alert_email_server:
            raise Rejected(
                "an e-mail goes through a server; name it as host:port", field="alert_email_server"
            )
        password = settings.alert_email_password
        notices["email"] = EmailNotice(
            server=settings.alert_email_server,
            sender=settings.alert_email_from,
            to=settings.alert_email_to,
            user=settings.alert_email_user,
            password=password.get_secret_value() if password is not None else "",
            hall=hall,
        )
    return notices


def _read(path: Path) -> _Kept:
    try:
        return _Kept.model_validate(files.read_json(path) or {})
    except (ValidationError, ValueError):
        log.warning("alerts.unreadable file=%s", path)
        return _Kept()
