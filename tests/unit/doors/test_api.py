"""The routes, in this process. Over real HTTP, with a hall that acts, in tests/e2e/test_control_api.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from a_hall import ask

from modelhall.app.hall import Hall
from modelhall.core.errors import Full, NotNow
from modelhall.core.kinds import Key


def projects(*names: str, **labels: str) -> dict[str, Any]:
    return {"documents": [{"kind": "project", "name": name, "labels": labels} for name in names]}


RUN = {"documents": [{"kind": "run", "name": "r", "command": ["true"]}]}


def test_a_list_comes_in_pages_that_miss_nothing(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await client.post("/api/v1/apply", json=projects(*"edcba"))
        found, after = [], ""
        while after is not None:
            page = (await client.get(f"/api/v1/projects?limit=2{after and '&after=' + after}")).json()
            assert page["revision"] == 5
            found += [item["document"]["name"] for item in page["items"]]
            after = page["next"]
        assert found == list("abcde")

    ask(tmp_path, play)


def test_a_list_has_those_with_all_of_the_labels(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await client.post("/api/v1/apply", json=projects("a", team="x", tier="1"))
        await client.post("/api/v1/apply", json=projects("b", team="x"))
        for query, names in (("label=team=x", ["a", "b"]), ("label=team=x&label=tier=1", ["a"]),
                             ("label=team=", []), ("project=none", [])):  # fmt: skip
            items = (await client.get(f"/api/v1/projects?{query}")).json()["items"]
            assert [item["document"]["name"] for item in items] == names

    ask(tmp_path, play)


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=10001", "limit"), ("after=a", "after"), ("label=a", "label"),
     ("label==b", "label"), ("alive=perhaps", "alive")],
)  # fmt: skip
def test_a_list_that_cannot_be_is_refused_with_the_field(tmp_path: Path, query: str, field: str) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.get(f"/api/v1/runs?{query}")
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)

    ask(tmp_path, play)


def test_a_call_that_comes_again_under_its_key_is_answered_as_it_was_and_not_done_again(
    tmp_path: Path,
) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        for key, method, path, body in (
            ("1", "POST", "/api/v1/apply", RUN),
            ("2", "POST", "/api/v1/runs/r/cancel", None),
            ("3", "DELETE", "/api/v1/runs/r", None),
        ):
            headers = {"idempotency-key": key}
            first = await client.request(method, path, json=body, headers=headers)
            assert first.status_code == 200, first.text
            assert first.json()["outcomes"][0]["name"] == "r"
            revision = await hall.store.revision()
            again = await client.request(method, path, json=body, headers=headers)
            assert again.json() == first.json()
            assert await hall.store.revision() == revision

    ask(tmp_path, play)


def test_a_key_is_for_one_request_in_all_its_parts(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        headers = {"idempotency-key": "one"}
        await client.post("/api/v1/apply", json=RUN, headers=headers)
        for method, path, body in (
            ("POST", "/api/v1/apply", projects("other")),
            ("POST", "/api/v1/apply?x=1", RUN),
            ("POST", "/api/v1/runs/r/cancel", None),
            ("DELETE", "/api/v1/runs/r", None),
        ):
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.status_code == 422
            assert "used for another request" in answer.json()["error"]["message"]

    ask(tmp_path, play)


@pytest.mark.parametrize(
    "key", [b"", b"a b", b"x" * 129, "\u00e9".encode()], ids=["none", "space", "long", "not ascii"]
)
def test_what_is_no_idempotency_key_is_refused(tmp_path: Path, key: bytes) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.post("/api/v1/apply", json=RUN, headers={b"idempotency-key": key})
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "Idempotency-Key")
        assert await hall.store.get(Key("run", "default", "r")) is None

    ask(tmp_path, play)


def test_readiness_is_open_and_says_when_the_hall_only_stands_by(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        stranger = httpx.Headers()
        client.headers = stranger
        answer = await client.get("/api/v1/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "standby"})
        leading = asyncio.create_task(hall.plane.stand())
        while not hall.leads:
            await asyncio.sleep(0.01)
        answer = await client.get("/api/v1/ready")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        leading.cancel()

    ask(tmp_path, play)


@pytest.mark.parametrize(
    ("error", "status"),
    [(Full("the disk is full", delay_s=4.2), 507), (NotNow("the store is away", delay_s=4.2), 503)],
)
def test_what_time_must_mend_says_when_to_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: NotNow, status: int
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise error

    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        monkeypatch.setattr(hall, "apply", fails)
        answer = await client.post("/api/v1/apply", json=RUN)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "5")
        assert answer.json()["error"] == {
            "message": error.message, "who": "time", "field": None, "document": None,
        }  # fmt: skip

    ask(tmp_path, play)


def test_a_secret_goes_in_and_its_value_never_comes_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        path = "/api/v1/secrets/default/token"
        said = [await client.put(path, content=b"very private"), await client.get(path)]
        said += [await client.get("/api/v1/secrets/default"), await client.put(path, content=b"\xff private")]
        assert [answer.status_code for answer in said] == [204, 200, 200, 400]
        assert said[2].json() == {"names": ["token"]}
        assert not any("private" in answer.text for answer in said)
        assert hall.secrets.get("default", "token") == b"very private"
        assert (await client.delete(path)).status_code == 204
        assert (await client.delete(path)).status_code == (await client.get(path)).status_code == 404

    caplog.set_level(0)
    ask(tmp_path, play)
    assert "private" not in caplog.text


def test_a_secret_belongs_to_a_project_that_is_there(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        assert (await client.put("/api/v1/secrets/nobody/token", content=b"x")).status_code == 404
        assert (await client.put("/api/v1/secrets/default/No_Name", content=b"x")).status_code == 400
        await client.post("/api/v1/apply", json=projects("team"))
        assert (await client.put("/api/v1/secrets/team/token", content=b"x")).status_code == 204
        assert (await client.get("/api/v1/secrets/default")).json() == {"names": []}

    ask(tmp_path, play)


def test_the_description_of_the_api_has_all_of_it(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        paths = (await client.get("/api/openapi.json")).json()["paths"]
        assert {"410", "200"} <= paths["/api/v1/watch"]["get"]["responses"].keys()
        assert "text/plain" in paths["/api/v1/secrets/{project}/{name}"]["put"]["requestBody"]["content"]
        for method, path in (
            ("post", "/api/v1/apply"), ("delete", "/api/v1/{kinds}/{name}"), ("post", "/api/v1/runs/{name}/cancel"),
        ):  # fmt: skip
            assert "idempotency-key" in {p["name"] for p in paths[path][method]["parameters"]}

    ask(tmp_path, play)
