"""What the API's routes never see. Over all routes and many more cases, in tests/torture/test_hostile_requests.py."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a_hall import ask

from modelhall.app.hall import Hall
from modelhall.doors.api import guard

JSON = {"content-type": "application/json"}


def run(text: str = '"cpus": 1') -> bytes:
    """A run to apply, whose resources are given as text."""
    return f'{{"documents": [{{"kind": "run", "name": "r", "command": ["true"], "resources": {{{text}}}}}]}}'.encode()


def error_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    told: dict[str, Any] = answer.json()["error"]
    assert told.keys() == {"message", "who", "field", "document"}
    assert told["who"] == "caller"
    return told


@pytest.mark.parametrize(
    ("text", "says"),
    [('"cpus": NaN', "not JSON"), ('"cpus": Infinity', "not JSON"), ('"cpus": 1e400', "too large"),
     ('"cpus": 99999999999999999999', "64 bits"), ('"cpus": 1, "cpus": 2', "stands twice"),
     ('"gpu": "\\ud800"', "not JSON"), ('"a\\u0000": "b"', "NUL"),
     ('"a": ' + '{"a": ' * 70 + "1" + "}" * 70, "levels")],
)  # fmt: skip
def test_json_that_two_readers_would_read_differently_is_refused_and_declares_nothing(
    tmp_path: Path, text: str, says: str
) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.post("/api/v1/apply", content=run(text), headers=JSON)
        assert answer.status_code == 400
        assert says in error_of(answer)["message"]
        assert await hall.store.find("run") == []

    ask(tmp_path, play)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 415), ({"content-type": "text/plain"}, 415), ({"content-type": "application/x+json"}, 415),
     ({"content-type": "application/json; charset=utf-16"}, 415),
     ({"content-type": "application/x-www-form-urlencoded"}, 415),
     ({**JSON, "content-encoding": "gzip"}, 415), ({**JSON, "content-encoding": "identity"}, 200),
     ({"content-type": "Application/JSON; charset=UTF-8"}, 200)],
)  # fmt: skip
def test_a_document_is_json_and_says_so(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.post("/api/v1/apply", content=run(), headers=headers)
        assert answer.status_code == status, answer.text
        if status != 200:
            error_of(answer)

    ask(tmp_path, play)


def test_a_method_or_a_path_that_is_not_there_is_refused_in_the_shape_of_all_errors(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.patch("/api/v1/status")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        error_of(answer)
        for path in ("/api/v2/status", "/api/v1/runs/a/b/c", "/api/v1/runs/", "/API/v1/status"):
            answer = await client.get(path)
            assert answer.status_code == 404
            error_of(answer)

    ask(tmp_path, play)


@pytest.mark.parametrize(
    "query", ["project=a&project=b", "limit=1&limit=1", "alive=true&alive=false", "project=%00",
              "project=%ff", "project=%",
              "label=a=b&after=p/n&after=p/n"],
)  # fmt: skip
def test_a_query_that_says_two_things_or_no_text_is_refused(tmp_path: Path, query: str) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.get(httpx.URL("http://localhost/api/v1/runs", query=query.encode()))
        assert answer.status_code == 400
        error_of(answer)

    ask(tmp_path, play)


def test_what_is_a_list_may_be_given_several_times(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        assert (await client.get("/api/v1/runs?label=a=b&label=c=d")).status_code == 200

    ask(tmp_path, play)


@pytest.mark.parametrize(
    "id", ["-1", "1.5", "x", "9" * 30, "0" * 20 + "9" * 5000, "\u0661".encode(), "1_0", " "]
)
def test_an_event_id_that_is_no_revision_is_refused(tmp_path: Path, id: str | bytes) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.get(
            "/api/v1/watch", headers={b"last-event-id": id if isinstance(id, bytes) else id.encode()}
        )
        assert answer.status_code == 400
        assert error_of(answer)["field"] == "Last-Event-ID"

    ask(tmp_path, play)


def test_a_misspelt_word_of_megabytes_is_answered_at_once_and_not_told_back(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        body = json.dumps({"documents": [{"kind": "x" * 4_000_000, "name": "p"}]})
        answer = await client.post("/api/v1/apply", content=body, headers=JSON)
        assert answer.status_code == 400
        assert len(answer.content) < 10_000

    ask(tmp_path, play)


@pytest.mark.parametrize("sent_as", ["text/plain", "application/json", None])
def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_large(tmp_path: Path, sent_as: str | None) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(guard.LARGEST_BODY_BYTES // 2**20 + 1):
            yield b" " * 2**20

    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        headers = {"content-type": sent_as} if sent_as else {}
        for method, path in (("PUT", "/api/v1/secrets/default/a"), ("POST", "/api/v1/apply")):
            answer = await client.request(method, path, content=endless(), headers=headers)
            assert answer.status_code in (413, 415)
            error_of(answer)

    ask(tmp_path, play)


def test_a_secret_is_text_and_not_json(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        path = "/api/v1/secrets/default/a"
        assert (await client.put(path, json="x")).status_code == 415
        assert (
            await client.put(path, content=b"x", headers={"content-type": "text/plain"})
        ).status_code == 204
        assert hall.secrets.get("default", "a") == b"x"

    ask(tmp_path, play)
