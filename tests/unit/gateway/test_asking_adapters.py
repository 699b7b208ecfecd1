"""Adapters beside a service's own model: asked by name, sent to who has them, written down and kept apart."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from stand_ins import Seen, StandIn, eventually, http, well

from modelhall.core.kinds import Resources
from modelhall.core.kinds.adapter import Served
from modelhall.core.kinds.rollout import Progress, Release

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
LEGAL = Served(model="legal", version="c" * 64, number=2)
NEWER = Served(model="legal", version="d" * 64, number=3)


def release(**adapters: Served) -> Release:
    order = {"adapters": {name: {**one.model_dump(), "artifact": "x"} for name, one in adapters.items()}}
    return Release(version="a" * 64, number=1, order=order, resources=Resources())


def asked(model: str, **more: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **more}).encode()


async def serving(
    hall: Any, *replicas: Release, behave: Any = well, status: dict[str, Any] | None = None, **document: Any
) -> list[StandIn]:
    """A replica of each release, the first of which is served; `legal` is declared."""
    there = [
        await hall.replica(
            f"r{place}", behave=behave, version=of.version, number=1, release=of.id, adapters=of.adapters
        )
        for place, of in enumerate(replicas)
    ]
    served = {"version": replicas[0].version, "release": replicas[0], **(status or {})}
    await hall.declare(*there, status=served, **{"adapters": {"legal": "legal"}, **document})
    return there


@pytest.mark.parametrize(
    ("path", "body"), [(CHAT, asked("digits:legal")), ("/v2/models/digits:legal/infer", b"{}")]
)
async def test_a_replica_is_told_which_adapter_is_asked_and_the_answer_says_its_version(hall, path, body):
    (replica,) = await serving(hall, release(legal=LEGAL))
    # The caller's own word for it is not passed on.
    answer = await hall.ask(path, body, "x-hall-adapter: other")
    assert answer.headers["x-hall-version"] == "digits:legal@2"
    assert replica.seen[0].headers["x-hall-adapter"] == "legal"
    assert replica.seen[0].line in (f"POST {CHAT} HTTP/1.1", "POST /v2/models/digits/infer HTTP/1.1")
    (used,) = hall.usage
    assert (used.service, used.adapter, used.version) == ("digits", "legal", LEGAL.version)
    plain = await hall.ask(CHAT, asked("digits"))
    assert plain.headers["x-hall-version"] == "digits@1"
    assert "x-hall-adapter" not in replica.seen[1].headers
    assert hall.usage[1].adapter == ""


async def test_an_adapter_nobody_declared_is_told_what_there_is_in_the_protocols_shape(hall):
    await serving(hall, release(legal=LEGAL, gone=LEGAL))
    for name in ("lega", "gone"):
        answer = await hall.ask(CHAT, asked(f"digits:{name}"))
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["param"]) == (404, "model")
        assert error["message"] == f"service 'digits' has no adapter {name!r}; there is: digits:legal"
    answer = await hall.ask("/v2/models/digits:lega/infer")
    assert (answer.status, "there is: digits:legal" in answer.error) == (404, True)


@pytest.mark.parametrize(
    "name", ["digits:", "digits:../legal", "digits:a:b", "digits:LEGAL", "digits:x\r\ny: z"]
)
async def test_what_cannot_be_a_name_is_unknown_and_reaches_no_replica(hall, name):
    (replica,) = await serving(hall, release(legal=LEGAL))
    assert (await hall.ask(CHAT, asked(name))).status == 404
    assert replica.seen == []


async def test_services_are_listed_with_the_adapters_that_are_served(hall):
    await serving(hall, release(legal=LEGAL), adapters={"legal": "legal", "late": "late"})
    listed = json.loads((await hall.ask("/v1/models", b"", method="GET")).body)["data"]
    assert [(one["id"], one.get("parent")) for one in listed] == [
        ("digits", None),
        ("digits:legal", "digits"),
    ]
    one = json.loads((await hall.ask("/v1/models/digits:legal", b"", method="GET")).body)
    assert one == listed[1]
    index = json.loads((await hall.ask("/v2/repository/index", b"{}")).body)
    assert [(one["name"], one["version"]) for one in index] == [
        ("digits", "a" * 64), ("digits:legal", LEGAL.version),
    ]  # fmt: skip
    assert (await hall.ask(CHAT, asked("digits:late"))).status == 503


async def test_while_an_adapter_comes_into_use_only_those_are_asked_that_have_it(hall):
    old, new = release(), release(legal=LEGAL)
    progress = Progress(
        release=new.id, version=new.version, number=1, state="stepping", share=0.01, since=100.0, by="request"
    )
    replicas = await serving(hall, old, new, status={"rollout": progress})
    answers = [await hall.ask(CHAT, asked("digits:legal")) for _ in range(4)]
    assert {answer.status for answer in answers} == {200}
    assert [len(replica.seen) for replica in replicas] == [0, 4]


async def test_a_version_of_an_adapter_is_asked_by_its_own_number(hall):
    old, new = release(legal=LEGAL), release(legal=NEWER)
    progress = Progress(
        release=new.id, version=new.version, number=1, state="stepping", share=0.5, since=100.0, by="request"
    )
    replicas = await serving(hall, old, new, status={"rollout": progress})
    assert (await hall.ask(CHAT, asked("digits:legal@3"))).headers["x-hall-version"] == "digits:legal@3"
    answer = await hall.ask(CHAT, asked("digits:legal"), "x-hall-version: digits:legal@cccc")
    assert answer.headers["x-hall-version"] == "digits:legal@2"
    assert [len(replica.seen) for replica in replicas] == [1, 1]
    assert (await hall.ask(CHAT, asked("digits:legal@1"))).status == 404
    assert (await hall.ask(CHAT, asked("digits:legal"), "x-hall-version: digits@3")).status == 400


async def test_answers_are_kept_apart_by_adapter_and_by_its_version(hall):
    async def says(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(http(seen.headers.get("x-hall-adapter", "own").encode(), "content-type: text/plain"))

    async def ask(name: str) -> tuple[bytes, str]:
        answer = await hall.ask(f"/v2/models/{name}/infer")
        return answer.body, answer.headers["x-hall-cache"]

    cache = {"ttl_s": 60}
    await serving(hall, release(legal=LEGAL), behave=says, cache=cache)
    told = [await ask(name) for name in ("digits", "digits:legal", "digits:legal", "digits")]
    assert told == [(b"own", "miss"), (b"legal", "miss"), (b"legal", "hit"), (b"own", "hit")]
    assert [(used.adapter, used.version[0]) for used in hall.usage[1:3]] == [("legal", "c"), ("legal", "c")]
    await serving(hall, release(legal=NEWER), behave=says, cache=cache)
    assert await ask("digits:legal") == (b"legal", "miss")
    assert await ask("digits") == (b"own", "hit")


async def test_a_shadow_of_the_services_own_model_gets_no_copies_of_what_adapters_are_asked(hall):
    shadow = Release(version="e" * 64, number=4, order={"shadow": True}, resources=Resources())
    replicas = await serving(
        hall, release(legal=LEGAL), shadow, status={"shadow": shadow.id},
        rollout={"shadow": {"model": "digits@4", "share": 1.0}},
    )  # fmt: skip
    assert (await hall.ask(CHAT, asked("digits:legal"))).status == 200
    assert (await hall.ask(CHAT, asked("digits"))).status == 200
    await eventually(lambda: replicas[1].seen)
    assert [json.loads(seen.body)["model"] for seen in replicas[1].seen] == ["digits"]
