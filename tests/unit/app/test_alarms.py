"""People are told of alerts: once, whatever is restarted, and as soon as they can be reached."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from modelhall.adapters.notice.email import EmailNotice
from modelhall.adapters.notice.webhook import WebhookNotice
from modelhall.app.monitoring.alarms import FILE, Alarms, notices_of, rules_of
from modelhall.core.alerts import DEFAULTS, Alert, Rule
from modelhall.core.errors import NotFound, NotNow, Rejected
from modelhall.core.ports.sensor import Figure
from modelhall.settings import Settings
from modelhall.twin.clock import VirtualClock

NODE = "node/default/n1"
HOT = Rule(name="hot", of="node", figure="power_w", above=100, severity="critical", labels={"rack": "7"})
ALERT = Alert(
    rule="hot", subject=NODE, severity="critical", labels={"rack": "7"}, message="power_w is 120", value=120,
    since=1_800_000_000.0, firing=True,
)  # fmt: skip


class People:
    """The notice port to people who remember what they were told, and cannot always be reached."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []
        self.reachable = True

    async def send(self, alerts: Sequence[Alert]) -> None:
        if not self.reachable:
            raise NotNow("nobody is there", delay_s=1)
        self.told += [(alert.subject, alert.firing) for alert in alerts]


class Place:
    """A home with alarms."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.people = People()
        self.alarms = self.again()

    def again(self) -> Alarms:
        return Alarms(self.folder, [HOT], {"people": self.people}, self.clock, lambda: "s1")

    async def draw(self, *watts: float) -> None:
        for value in watts:
            self.clock.advance(10)
            await self.alarms.look({NODE: [Figure(name="power_w", value=value, source="t")]})
            await self.alarms.tell()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_people_are_told_when_it_begins_and_when_it_is_over(place: Place) -> None:
    asyncio.run(place.draw(50, 120, 130, 60, 50))
    assert place.people.told == [(NODE, True), (NODE, False)]


def test_a_restart_tells_nobody_a_second_time(place: Place) -> None:
    async def story() -> None:
        await place.draw(120)
        place.alarms = place.again()
        await place.draw(130, 50)

    asyncio.run(story())
    assert place.people.told == [(NODE, True), (NODE, False)]


def test_people_who_cannot_be_reached_are_told_later(place: Place) -> None:
    async def story() -> None:
        place.people.reachable = False
        await place.draw(120, 130)
        place.people.reachable = True
        await place.draw(130)

    asyncio.run(story())
    assert place.people.told == [(NODE, True)]


def test_of_what_is_silenced_nobody_is_told_and_it_is_shown_as_such(place: Place) -> None:
    async def story() -> None:
        await place.alarms.silence(rule="hot", subject="*", for_s=60, reason="a test", by="ann")
        await place.draw(120)
        place.alarms = place.again()
        assert [alert["silenced"] for alert in place.alarms.told()["alerts"]] == [True]
        await place.draw(*[120] * 6)
        assert [alert["silenced"] for alert in place.alarms.told()["alerts"]] == [False]
        assert place.alarms.told()["silences"] == []

    asyncio.run(story())
    assert place.people.told == [(NODE, True)], "once it is over, and it still fires"


def test_of_what_was_silenced_from_beginning_to_end_nobody_is_told(place: Place) -> None:
    async def story() -> None:
        await place.alarms.silence(rule="*", subject=NODE, for_s=30, reason="", by="ann")
        await place.draw(120, 50, 50, 50)

    asyncio.run(story())
    assert place.people.told == []


def test_what_somebody_was_not_told_before_a_kill_he_is_told_after_it(place: Place) -> None:
    async def story() -> None:
        place.people.reachable = False
        await place.draw(120, 50)
        place.people.reachable = True
        place.alarms = place.again()
        await place.alarms.tell()

    asyncio.run(story())
    assert place.people.told == [(NODE, True), (NODE, False)]


def test_a_silence_can_be_ended_once(place: Place) -> None:
    async def story() -> None:
        made = await place.alarms.silence(rule="*", subject="*", for_s=60, reason="", by="ann")
        await place.alarms.end_silence(made.id)
        await place.draw(120)
        with pytest.raises(NotFound, match="hall alerts"):
            await place.alarms.end_silence(made.id)

    asyncio.run(story())
    assert place.people.told == [(NODE, True)]


def test_a_damaged_file_of_alerts_costs_only_what_was_in_it(place: Place) -> None:
    (place.folder / FILE).write_text("{")
    place.alarms = place.again()
    asyncio.run(place.draw(120))
    assert place.people.told == [(NODE, True)]


def test_an_operators_rule_takes_the_place_of_the_one_of_its_name(tmp_path: Path) -> None:
    stalled = Rule(name="run-stalled", of="run", figure="stalled_s", above=60)
    rules = {
        rule.name: rule
        for rule in rules_of(Settings(home=tmp_path, alerts=(stalled, HOT), power_limit_w=500))
    }
    assert rules.keys() == {rule.name for rule in DEFAULTS} | {"hot", "power-over-limit"}
    assert rules["run-stalled"].above == 60
    assert rules["power-over-limit"].above == 500


def test_an_e_mail_without_a_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="alert_email_server"):
        notices_of(Settings(home=tmp_path, alert_email_to=("a@b.c",)), lambda: "")
    named = Settings(
        home=tmp_path,
        alert_email_to=("a@b.c",),
        alert_email_server="mail:25",
        alert_webhook=SecretStr("http://x"),
    )
    assert list(notices_of(named, lambda: "")) == ["log", "webhook", "email"]


class Listener:
    """A server that answers every connection by a function of its streams, and keeps what came."""

    def __init__(self, status: str = "200 OK") -> None:
        self.came: list[bytes] = []
        self._status = status

    async def web(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        self.came.append(await reader.readexactly(length))
        writer.write(f"HTTP/1.1 {self._status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            if line.upper().startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                self.came.append(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")
            await writer.drain()


async def listening(how: Any) -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(how, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def test_a_webhook_is_told_in_the_words_of_alertmanager() -> None:
    async def story() -> dict[str, Any]:
        listener = Listener()
        server, port = await listening(listener.web)
        async with server:
            await WebhookNotice(f"http://127.0.0.1:{port}/x", hall=lambda: "http://hall").send([ALERT])
        told: dict[str, Any] = json.loads(listener.came[0])
        return told

    told = asyncio.run(story())
    assert (told["version"], told["status"]) == ("4", "firing")
    (alert,) = told["alerts"]
    assert alert["labels"] == {"alertname": "hot", "subject": NODE, "severity": "critical", "rack": "7"}
    assert alert["annotations"] == {"summary": "power_w is 120"}
    assert alert["startsAt"] == "2027-01-15T08:00:00Z"


def test_a_webhook_that_says_no_or_is_gone_is_tried_again_and_its_url_is_told_nobody() -> None:
    async def story() -> None:
        server, port = await listening(Listener("500 No").web)
        notice = WebhookNotice(f"http://127.0.0.1:{port}/secret", hall=lambda: "")
        async with server:
            with pytest.raises(NotNow, match="answered 500"):
                await notice.send([ALERT])
        with pytest.raises(NotNow) as gone:
            await notice.send([ALERT])
        assert "secret" not in gone.value.message

    asyncio.run(story())


def test_an_e_mail_says_what_fires_in_its_subject() -> None:
    async def story() -> bytes:
        listener = Listener()
        server, port = await listening(listener.mail)
        async with server:
            notice = EmailNotice(
                server=f"127.0.0.1:{port}", sender="hall@h", to=["ann@h", "bo@h"], hall=lambda: "http://hall"
            )
            await notice.send([ALERT])
        return listener.came[0]

    message = message_from_bytes(asyncio.run(story()))
    assert message["Subject"] == f"[hall] 1 firing: hot {NODE}"
    assert message["To"] == "ann@h, bo@h"
    assert "power_w is 120" in message.get_payload()


def test_a_mail_server_that_is_gone_is_tried_again() -> None:
    notice = EmailNotice(server="127.0.0.1:1", sender="hall@h", to=["ann@h"], hall=lambda: "")
    with pytest.raises(NotNow, match="mail server"):
        asyncio.run(notice.send([ALERT]))
