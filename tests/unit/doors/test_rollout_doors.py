"""A rollout as it is told, drawn and steered from outside."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
from a_hall import ask
from rich.console import Console

from modelhall.app.hall import Hall
from modelhall.app.rollouts import picture
from modelhall.control.loop import new_resource
from modelhall.control.traffic import Traffic
from modelhall.core.kinds import Key, Resources, Service
from modelhall.core.kinds.rollout import Progress, Release
from modelhall.core.kinds.service import Replica, ServiceResource
from modelhall.core.ports.store import Put
from modelhall.core.ports.traffic import Load, Report, Tally
from modelhall.doors.cli.rollout import drawn

OLD = Release(version="a" * 64, number=2, order={"old": True}, resources=Resources())
NEW = Release(version="b" * 64, number=3, order={"new": True}, resources=Resources())
KEY = Key("service", "default", "digits")


def service(**progress: Any) -> ServiceResource:
    document = Service(
        name="digits", model="digits",
        rollout={"canary": {"steps": ["10%", "50%"], "every_s": 300}, "shadow": {"model": "digits@1"}},
    )  # fmt: skip
    on_its_way = Progress(release=NEW.id, version=NEW.version, number=3, **progress) if progress else None
    replicas = tuple(
        Replica(run=one.id, uid=one.id, version=one.version, release=one.id, state="ready", address="h:1")
        for one in (OLD, NEW)
    )
    return new_resource(document, "u1", 0.0).with_status(
        state="rolling", reason="as it should", version=OLD.version, release=OLD, rollout=on_its_way,
        shadow="5ad0", replicas=replicas,
    )  # fmt: skip


STEPPING = service(state="stepping", share=0.1, since=100.0)


def tallies() -> list[Tally]:
    assert STEPPING.status.rollout is not None
    trial = STEPPING.status.rollout.trial
    return [
        Tally(trial=trial, release=OLD.id, answers=900, waits=(0, 900)),
        Tally(trial=trial, release=NEW.id, answers=98, failures=2, waits=(0, 98)),
        Tally(trial="5ad0", release="5ad0", answers=50, compared=40, differing=10, dropped=3),
    ]


def shown(found: ServiceResource) -> str:
    traffic = Traffic(tallies={(tally.trial, tally.release): tally for tally in tallies()})
    console = Console(width=150)
    with console.capture() as capture:
        console.print(drawn(picture(found, traffic, now=165.0)))
    return capture.get()


def test_the_picture_tells_where_it_is_and_what_came_of_the_requests_of_both() -> None:
    text = shown(STEPPING)
    assert "step 1 of 2 (0.1 → 0.5): stepping, 1 min 5 s of 5 min 0 s" in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("digits@")}
    assert lines["digits@2"][1:5] == ["0.9", "1", "900", "0.00%"]
    assert lines["digits@3"][1:5] == ["0.1", "1", "100", "2.00%"]
    assert "25.00% of 40 answers differ" in text
    assert "3 dropped" in text


def test_one_that_was_sent_back_and_none_at_all_are_told_too() -> None:
    assert "rolled back" in shown(service(state="rolled-back", why="it failed"))
    assert "step" not in shown(service())


async def _put(hall: Hall, found: ServiceResource) -> None:
    await hall.store.commit([Put(resource=found)])


def test_a_rollout_is_told_and_steered_over_the_api(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await _put(hall, STEPPING)
        load = Load(tallies=tuple(tallies()))
        report = Report(gateway="g1", at=hall.clock.now(), revision=1, services={KEY.path: load})
        await hall.traffic.tell(report)
        path = "/api/v1/services/digits/rollout"
        told = (await client.get(path)).json()
        assert [side["requests"] for side in told["sides"]] == [900, 100]
        assert (told["shadow"]["compared"], told["shadow"]["share"]) == (40, 0.1)
        done = await client.post(f"{path}/pause")
        assert done.json()["outcomes"][0]["change"] == "pausing"
        assert (await client.get(path)).json()["progress"]["paused"] is True
        assert (await client.post(f"{path}/promote")).status_code == 200
        stored = await hall.store.get(KEY)
        assert stored is not None
        assert stored.status.rollout.wish == "promote"

    ask(tmp_path, play)


def test_what_cannot_be_done_is_refused_in_words(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await _put(hall, service())
        path = "/api/v1/services/digits/rollout"
        answers = [
            await client.post(f"{path}/promote"), await client.post(f"{path}/hurry"),
            await client.get("/api/v1/services/letters/rollout"),
        ]  # fmt: skip
        assert [answer.status_code for answer in answers] == [409, 400, 404]
        assert "no release of service digits is on its way" in answers[0].text

    ask(tmp_path, play)


def test_two_who_steer_at_once_are_both_heard(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await _put(hall, STEPPING)
        path = "/api/v1/services/digits/rollout"
        answers = await asyncio.gather(client.post(f"{path}/pause"), client.post(f"{path}/abort"))
        assert {answer.status_code for answer in answers} == {200}
        stored = await hall.store.get(KEY)
        assert stored is not None
        assert (stored.status.rollout.paused, stored.status.rollout.wish) == (True, "abort")

    ask(tmp_path, play)
