"""The watch over HTTP. What is told to whom is in tests/unit/app/test_feed.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from a_hall import DEADLINE_S, Listener, a_hall, ask
from fastapi import FastAPI

from modelhall.app import feed as feeds
from modelhall.app.hall import Hall
from modelhall.core.errors import NotNow
from modelhall.core.hallfile import document_from_json


async def declare(hall: Hall, name: str, **labels: str) -> None:
    await hall.apply([document_from_json({"kind": "project", "name": name, "labels": labels})])


def listening(home: Path, play: Callable[[Hall, FastAPI], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(DEADLINE_S), a_hall(home) as (hall, api):
            await play(hall, api)

    asyncio.run(whole())


def test_a_change_is_one_event_with_its_revision_as_the_id(tmp_path: Path) -> None:
    async def play(hall: Hall, api: FastAPI) -> None:
        listener = Listener(api, hall.token, "kind=projects&kind=run&label=team=a")
        assert (await listener.until(b"bookmark")).startswith(b"retry: 1000\n\nid: 0\nevent: bookmark\n")
        await declare(hall, "other")
        await declare(hall, "mine", team="a")
        told = (await listener.until(b'"name": "mine"')).decode().split("\n\n")
        fields = dict(line.split(": ", 1) for line in told[2].split("\n"))
        data = json.loads(fields["data"])
        assert (fields["id"], fields["event"]) == ("2", "changed")
        assert (data["kind"], data["project"], data["name"], data["revision"]) == (
            "project", "default", "mine", 2,
        )  # fmt: skip
        assert data["resource"]["document"]["labels"] == {"team": "a"}
        await listener.leave()

    listening(tmp_path, play)


def test_a_browser_that_comes_back_goes_on_after_the_last_event_it_had(tmp_path: Path) -> None:
    async def play(hall: Hall, api: FastAPI) -> None:
        for name in ("a", "b", "c"):
            await declare(hall, name)
        listener = Listener(api, hall.token, "after=0", last_event_id="2")
        told = await listener.until(b'"name": "c"')
        assert b'"name": "b"' not in told
        await listener.leave()

    listening(tmp_path, play)


def test_who_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    async def play(hall: Hall, api: FastAPI) -> None:
        listeners = [Listener(api, hall.token, f"name=p{number % 3}") for number in range(30)]
        for listener in listeners:
            await listener.until(b"bookmark")
        for listener in listeners:
            await listener.leave()
        await asyncio.sleep(0)
        assert hall.feed._groups == {}
        assert not any("_end_when_gone" in repr(task) for task in asyncio.all_tasks())

    listening(tmp_path, play)


def test_when_the_hall_stops_a_stream_ends_as_it_should(tmp_path: Path) -> None:
    async def play(hall: Hall, api: FastAPI) -> None:
        listener = Listener(api, hall.token, "")
        await listener.until(b"bookmark")
        hall.feed.close()
        await listener.task
        assert listener.is_over

    listening(tmp_path, play)


def test_a_stream_that_has_fallen_too_far_behind_ends_with_gone(tmp_path: Path) -> None:
    async def play(hall: Hall, api: FastAPI) -> None:
        await declare(hall, "a")
        listener = Listener(api, hall.token, "")
        await listener.until(b"bookmark")
        await hall.store.skip_to(100)
        await declare(hall, "b")
        told = (await listener.until(b"event: gone")).decode()
        data = told.rpartition("event: gone\ndata: ")[2]
        assert "not known any more" in json.loads(data)["error"]["message"]
        await listener.task
        assert listener.is_over

    listening(tmp_path, play)


def test_while_the_store_is_away_a_stream_says_so_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(watch: feeds.Watch) -> bytes:
        monkeypatch.setattr(feeds.Watch, "next", then)
        raise NotNow("the store\ncannot be reached", delay_s=0.0)

    async def play(hall: Hall, api: FastAPI) -> None:
        listener = Listener(api, hall.token, "")
        await listener.until(b": the store cannot be reached\n\n")
        await declare(hall, "a")
        await listener.until(b'"name": "a"')
        await listener.leave()

    then = feeds.Watch.next
    monkeypatch.setattr(feeds.Watch, "next", away)
    listening(tmp_path, play)


@pytest.mark.parametrize(
    ("query", "header", "status", "field"),
    [
        ("after=17", None, 410, None), ("after=-1", None, 400, "after"), ("after=x", None, 400, "after"),
        ("kind=thing", None, 404, "kind"), ("label=x", None, 400, "label"), ("label==x", None, 400, "label"),
        ("", "x", 400, "Last-Event-ID"), ("", "9" * 40, 400, "Last-Event-ID"), ("after=0", "17", 410, None),
    ],
)  # fmt: skip
def test_a_watch_that_cannot_be_is_refused_before_it_begins(
    tmp_path: Path, query: str, header: str | None, status: int, field: str | None
) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        headers = {"last-event-id": header} if header else {}
        answer = await client.get(f"/api/v1/watch?{query}", headers=headers)
        assert answer.status_code == status
        assert answer.json()["error"]["field"] == field

    ask(tmp_path, play)
