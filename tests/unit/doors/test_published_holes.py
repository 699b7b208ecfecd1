"""Holes that others were found to have, and whether they are here. One test or more a class, named after it.

Those of files, archives and pickles are looked at where files are read.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from a_hall import a_hall, ask
from fastapi.routing import iter_route_contexts

from modelhall.app.hall import Hall
from modelhall.doors.api.permissions import FOR_EVERYBODY

RUN = {"documents": [{"kind": "run", "name": "r", "command": ["true"]}]}
ODD_PATHS = (
    "/", "//", "/api", "//api/v1/status", "/API/v1/status", "/api/v1/../v1/status", "/api/v1/health/../status",
    "/api/v1/health/", "/api/v1/health%2f..%2fstatus", "/api/v1/status;/api/v1/health", "/api/v1/health?/../status",
    "/api/v1/status#/api/v1/health", "/api/v2/status", "/metrics", "/docs", "/redoc", "/openapi.json",
    "/api/openapi.json",
    "/static/x", "/ajax-api/v1/status", "/graphql", "/nowhere", "/api/v1/ready/..", "/.well-known/x",
)  # fmt: skip
SQL = (
    "' OR '1'='1",
    "x'; DROP TABLE resource; --",
    "default' UNION SELECT body FROM resource --",
    "1; DELETE FROM event",
    "%' --",
)


def as_stranger(home: Path, *asked: tuple[str, str], **more: Any) -> list[httpx.Response]:
    """What somebody is answered who shows no token."""
    answers: list[httpx.Response] = []

    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        client.headers.pop("authorization")
        for method, path in asked:
            answers.append(await client.request(method, path, **more))

    ask(home, play)
    return answers


def test_cve_2026_2652_no_path_gets_past_the_guard_by_standing_elsewhere(tmp_path: Path) -> None:
    for path, answer in zip(
        ODD_PATHS, as_stranger(tmp_path, *[("GET", path) for path in ODD_PATHS]), strict=True
    ):
        expected = {200} if path.partition("?")[0] in {path for _, path in FOR_EVERYBODY} else {400, 401, 404}
        assert answer.status_code in expected, path


def test_cve_2026_2652_every_route_there_is_stands_behind_the_guard(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        client.headers.pop("authorization")
        asked = 0
        for route in iter_route_contexts(client._transport.app.routes):  # type: ignore[attr-defined]
            for method in {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", *(route.methods or ())}:
                path = route.path.replace("{", "").replace("}", "")
                answer = await client.request(method, path)
                assert (method, path) in FOR_EVERYBODY or answer.status_code == 401, (method, path)
                asked += 1
        assert asked > 100

    ask(tmp_path, play)


def test_cve_2026_2652_a_websocket_is_refused_whatever_its_path(tmp_path: Path) -> None:
    async def knock(path: str) -> list[str]:
        async with a_hall(tmp_path) as (hall, api):
            said: list[str] = []

            async def send(message: Any) -> None:
                said.append(message["type"])

            async def receive() -> Any:
                return {"type": "websocket.connect"}

            token = f"Bearer {hall.token}".encode()
            scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"",
            "scheme": "ws",
                     "headers": [(b"host", b"localhost"), (b"authorization", token)], "subprotocols": []}  # fmt: skip
            await api(scope, receive, send)
            return said

    for path in ("/api/v1/watch", "/api/v1/health", "/nowhere"):
        assert asyncio.run(knock(path)) == ["websocket.close"]


@pytest.mark.parametrize("text", SQL)
def test_cve_2026_42208_what_is_sent_is_never_a_part_of_a_query(tmp_path: Path, text: str) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await client.post("/api/v1/apply", json=RUN)
        revision = await hall.store.revision()
        stranger = await client.get("/api/v1/runs", headers={"authorization": f"Bearer {text}"})
        assert stranger.status_code == 401
        for query in (
            {"project": text},
            {"label": f"a={text}"},
            {"label": f"{text}=a"},
            {"after": f"{text}/{text}"},
        ):
            answer = await client.get("/api/v1/runs", params=query)
            # `after` a text that sorts before `default/r` it follows, as it should.
            assert len(answer.json().get("items", ())) <= ("after" in query), query
        for query in ({"kind": "run", "name": text}, {"kind": text, "name": "r"}, {"project": text}):
            events = await client.get("/api/v1/events", params=query)
            assert events.status_code in (403, 404) or events.json() == [], query
        await client.post("/api/v1/apply", json=RUN, headers={"idempotency-key": text.replace(" ", "")})
        assert await hall.store.revision() == revision
        assert (await client.get("/api/v1/runs/r")).status_code == 200

    ask(tmp_path, play)


def test_cve_2026_35030_a_token_is_known_by_all_of_it(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        for kept in (1, 20, len(hall.token) - 1):
            other = hall.token[:kept] + "".join("A" if letter != "A" else "B" for letter in hall.token[kept:])
            for token, status in (
                (hall.token, 200),
                (other, 401),
                (hall.token, 200),
                (hall.token[:kept], 401),
            ):
                answer = await client.get("/api/v1/status", headers={"authorization": f"Bearer {token}"})
                assert answer.status_code == status

    ask(tmp_path, play)


def test_cve_2023_48022_nobody_has_work_done_without_saying_who_he_is(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await client.post("/api/v1/apply", json=RUN)
        revision = await hall.store.revision()
        client.headers.pop("authorization")
        for method, path in (
            ("POST", "/api/v1/apply"), ("POST", "/api/v1/runs/r/cancel"), ("DELETE", "/api/v1/runs/r"),
            ("PUT", "/api/v1/secrets/default/a"), ("GET", "/api/v1/runs/r/log"), ("GET", "/api/v1/runs"),
        ):  # fmt: skip
            body = {"json": RUN} if method == "POST" else {}
            assert (await client.request(method, path, **body)).status_code == 401, path  # type: ignore[arg-type]
        assert await hall.store.revision() == revision

    ask(tmp_path, play)
