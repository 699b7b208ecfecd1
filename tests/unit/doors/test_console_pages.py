"""Every page of the console, asked without a browser: whom it is for, what it shows, and that it trusts no words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from a_hall import a_hall, ask

from modelhall.app.hall import Hall
from modelhall.core.kinds import Dataset, Model, Node, Project, Run, Service, Token, User
from modelhall.core.kinds.model import Network
from modelhall.core.kinds.node import NodeResource, NodeStatus
from modelhall.core.ports.sensor import Figure
from modelhall.core.ports.store import Put
from modelhall.doors.console import assets

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
BROWSER = {"accept": "text/html"}
PAGES = (
    "/", "/datasets", "/datasets/default/data", "/models", "/models/default/model", "/services",
    "/services/default/service", "/runs", "/runs/default/run", "/nodes", "/alerts", "/ledger", "/projects",
    "/audit", "/apply",
)  # fmt: skip
OPERATORS = ("/nodes", "/audit")

Story = Callable[[httpx.AsyncClient, Hall], Awaitable[None]]


async def declare(hall: Hall) -> None:
    """One of everything, with hostile words wherever words may stand."""
    source = hall.settings.home / "data.csv"
    source.write_text("text,label\na,b\n")
    await hall.apply(
        [
            Dataset(name="data", source=str(source), labels={"team": MARKUP}, licence=MARKUP),
            Model(name="model", task="text-classification", data="data", network=Network(family="bert")),
            Service(name="service", model="model"),
            Run(name="run", command=("echo", MARKUP)),
            User(name="anna", email=MARKUP),
            Project(name="research", description=MARKUP, members={"anna": "viewer"}, budget="1/month"),
        ]
    )
    status = NodeStatus(state="quarantined", reason=MARKUP, processor=MARKUP, gpus=1, gpu_type=MARKUP)
    node = NodeResource(document=Node(name="far"), status=status, uid="n", created_at=0, updated_at=0)
    await hall.store.commit([Put(resource=node)])
    hall.watching.seen = {node.key.path: [Figure(name="temperature_c", value=20, part=MARKUP, source=MARKUP)]}
    for key in [(await hall.store.find(kind))[0] for kind in ("dataset", "model", "service", "run")]:
        await hall.store.commit([Put(resource=key.with_status(reason=MARKUP))])
    await hall.follower.catch_up()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_there_is_and_no_words_become_markup(tmp_path: Path, page: str) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        await declare(hall)
        answer = await client.get(page, headers=BROWSER)
        assert answer.status_code == 200, answer.text
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text

    ask(tmp_path, story)


@pytest.mark.parametrize(
    "page", ["/ledger", "/datasets", "/models", "/services", "/runs", "/audit", "/apply"]
)
def test_a_project_with_markup_in_its_name_is_none_and_is_told_as_words(tmp_path: Path, page: str) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.get(page, params={"project": MARKUP[:60], "by": "project"}, headers=BROWSER)
        assert answer.status_code < 500
        assert "<script>alert" not in answer.text
        named = {"kind": "project", "name": MARKUP}
        refused = await client.post("/api/v1/apply", json={"documents": [named]})
        assert refused.status_code == 400
        assert refused.headers["content-type"].startswith("application/json")
        assert await hall.store.find("project") == []

    ask(tmp_path, story)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_hall_has_all_pages_too_in_both_languages(tmp_path: Path, page: str) -> None:
    if page.count("/") > 1:
        pytest.skip("there is none to look at")

    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        for language, word in (("en", "Overview"), ("zh-CN,zh;q=0.9", "总览")):
            answer = await client.get(page, headers={**BROWSER, "accept-language": language})
            assert answer.status_code == 200, answer.text
            assert word in answer.text

    ask(tmp_path, story)


def test_whoever_has_not_signed_in_is_asked_to_and_comes_back(tmp_path: Path) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        client.headers.pop("authorization")
        for page in PAGES:
            answer = await client.get(page, headers=BROWSER)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/sign-in")
        answer = await client.get("/runs?state=failed", headers=BROWSER)
        assert answer.headers["location"] == "/sign-in?back=/runs%3Fstate%3Dfailed"
        assert (await client.get("/sign-in", headers=BROWSER)).status_code == 200
        assert (await client.get("/")).status_code == 401

    ask(tmp_path, story)


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "x", ""])
def test_nobody_is_sent_to_another_site(tmp_path: Path, elsewhere: str) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.get("/preferences", params={"back": elsewhere, "language": "zh"})
        assert answer.headers["location"] == "/"
        assert 'data-back="/"' in (await client.get("/sign-in", params={"back": elsewhere})).text

    ask(tmp_path, story)


def test_a_member_sees_his_project_and_nothing_of_others(tmp_path: Path) -> None:
    async def whole() -> None:
        async with a_hall(tmp_path) as (hall, api):
            await declare(hall)
            source = str(tmp_path / "data.csv")
            await hall.apply([Dataset(name="his", project="research", source=source)])
            token = await _token_of(hall, "anna")
            transport: Any = httpx.ASGITransport(api)
            headers = {**BROWSER, "authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", headers=headers
            ) as client:
                shown = (await client.get("/datasets")).text
                assert "/datasets/research/his" in shown
                assert "/datasets/default/data" not in shown
                hidden = await client.get("/datasets/default/data")
                assert hidden.status_code == 404
                assert "no project" in hidden.text
                for page in OPERATORS:
                    assert (await client.get(page)).status_code == 403
                assert (await client.get("/ledger?project=research")).status_code == 200
                assert (await client.get("/ledger?project=default")).status_code == 404

    asyncio.run(whole())


async def _token_of(hall: Hall, user: str) -> str:
    owner = hall.directory.authenticate(f"Bearer {hall.token}")
    issued = await hall.people.issue(Token(name="laptop", user=user), owner)
    await hall.follower.catch_up()
    return issued.secret


def test_files_of_pages_are_open_kept_for_good_and_not_large(tmp_path: Path) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        client.headers.pop("authorization")
        size = 0
        for path in assets.PATHS:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            size += len(answer.content)
        assert size < 400_000

    ask(tmp_path, story)


def test_a_mistake_is_told_on_a_page_to_a_visitor_and_as_json_to_a_stranger(tmp_path: Path) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        answer = await client.get("/runs?before=none", headers=BROWSER)
        assert answer.status_code == 400
        assert "before" in answer.text
        assert "<nav" in answer.text
        gone = await client.get("/models/default/gone", headers=BROWSER)
        assert (gone.status_code, "no model gone" in gone.text) == (404, True)
        client.headers.pop("authorization")
        assert (await client.get("/preferences?theme=pink")).json()["error"]["field"] == "theme"

    ask(tmp_path, story)


def test_a_change_by_a_page_needs_the_value_that_stands_in_it(tmp_path: Path) -> None:
    async def story(client: httpx.AsyncClient, hall: Hall) -> None:
        await declare(hall)
        token = client.headers.pop("authorization").removeprefix("Bearer ")
        assert (await client.post("/api/v1/session", json={"token": token})).status_code == 204
        shown = (await client.get("/runs/default/run", headers=BROWSER)).text
        proof = shown.partition('name="csrf" content="')[2].partition('"')[0]
        path, here = "/api/v1/runs/run/cancel", {"origin": "http://localhost"}
        assert (await client.post(path, headers=here)).status_code == 403
        forged = {"origin": "http://evil.example", "x-modelhall-csrf": proof}
        assert (await client.post(path, headers=forged)).status_code == 403
        assert (await client.post(path, headers={**here, "x-modelhall-csrf": proof})).status_code == 200

    ask(tmp_path, story)
