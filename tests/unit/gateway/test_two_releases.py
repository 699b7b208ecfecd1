"""While two releases of a service are in use: whose requests go where, and what comes of them is counted."""

from __future__ import annotations

import asyncio
import json

import pytest
from stand_ins import Seen, StandIn, answering, breaking, eventually, http, silently, well

from modelhall.core.kinds import Resources
from modelhall.core.kinds.rollout import Progress, Release
from modelhall.core.ports.traffic import Load, Tally
from modelhall.gateway.checks import check

pytestmark = pytest.mark.anyio

OLD = Release(version="a" * 64, number=2, order={"old": True}, resources=Resources())
NEW = Release(version="b" * 64, number=3, order={"new": True}, resources=Resources())
PATH = "/v2/models/digits/infer"


def of(release: Release) -> dict[str, object]:
    return {"version": release.version, "release": release.id, "number": release.number}


def progress(share: float, **fields: object) -> Progress:
    return Progress(
        release=NEW.id, version=NEW.version, number=3, state="stepping", share=share, since=100.0, **fields
    )


async def two(
    hall, share: float, old=well, new=well, by: str = "caller", **document
) -> tuple[StandIn, StandIn]:
    """A replica of each release, and the share that the new one gets."""
    replicas = (
        await hall.replica("old", behave=old, **of(OLD)), await hall.replica("new", behave=new, **of(NEW))
    )  # fmt: skip
    status = {"version": OLD.version, "release": OLD, "rollout": progress(share, by=by)}
    await hall.declare(*replicas, status=status, **document)
    return replicas


async def said_by(hall, session: str) -> str:
    answer = await hall.ask(PATH, b"{}", f"x-hall-session: {session}")
    assert answer.status == 200
    return answer.headers["x-hall-version"]


def tallies(hall) -> dict[str, Tally]:
    pulse = hall.gateway._pulse
    pulse.sample()
    load: Load = pulse.report().services["service/default/digits"]
    return {tally.release: tally for tally in load.tallies}


async def test_answers_say_which_version_they_are_of(hall):
    await hall.declare(await hall.replica("r0", number=3))
    assert (await hall.ask()).headers["x-hall-version"] == "digits@3"
    other = await hall.replica("r1", version="3f2a9c" + "0" * 58)
    await hall.declare(other, status={"version": other.version})
    assert (await hall.ask()).headers["x-hall-version"] == "digits@3f2a9c000000"


async def test_about_as_many_conversations_as_the_share_come_to_the_new_release_and_stay(hall):
    await two(hall, 0.3)
    first = [await said_by(hall, f"s{n}") for n in range(60)]
    assert 6 <= first.count("digits@3") <= 30
    assert [await said_by(hall, f"s{n}") for n in range(60)] == first


async def test_by_request_also_a_single_caller_comes_to_both(hall):
    old, new = await two(hall, 0.5, by="request")
    for _ in range(40):
        await hall.ask()
    assert len(old.seen) >= 8
    assert len(new.seen) >= 8


@pytest.mark.parametrize("broken", ["old", "new"])
async def test_when_all_replicas_of_a_release_fail_the_other_answers_its_callers(hall, broken):
    await two(hall, 0.5, **{broken: breaking})
    assert {await said_by(hall, f"s{n}") for n in range(20)} == {
        "digits@3" if broken == "old" else "digits@2"
    }


async def test_a_caller_may_ask_for_a_version_by_header_by_path_and_by_name(hall):
    old, new = await two(hall, 0.0)
    for given in ("digits@3", f"digits@{NEW.version[:8]}"):
        answer = await hall.ask(PATH, b"{}", f"x-hall-version: {given}")
        assert answer.headers["x-hall-version"] == "digits@3"
    assert (await hall.ask("/v2/models/digits/versions/3/infer")).headers["x-hall-version"] == "digits@3"
    await hall.ask("/v1/completions", b'{"model": "digits@3"}')
    assert (len(old.seen), len(new.seen)) == (0, 4)


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ("digits@7", 404, "has no replica of version '7'"),
        ("letters@3", 400, "names a version of 'letters', and 'digits' is asked"),
        ("latest", 400, "names no version; write digits@3"),
        ("digits@", 400, "names no version"),
    ],
)
async def test_a_version_that_cannot_be_had_is_refused_in_words(hall, given, status, said):
    await two(hall, 0.0)
    answer = await hall.ask(PATH, b"{}", f"x-hall-version: {given}")
    assert answer.status == status
    assert said in answer.error


async def test_a_release_that_was_sent_back_gets_nothing(hall):
    old, new = await two(hall, 0.5)
    sent_back = progress(0.0).model_copy(update={"state": "rolled-back"})
    await hall.declare(old, new, status={"version": OLD.version, "release": OLD, "rollout": sent_back})
    for number in range(20):
        assert await said_by(hall, f"s{number}") == "digits@2"
    old.die()
    assert (await hall.ask()).status in (502, 503)


async def test_what_comes_of_the_requests_of_each_is_counted_for_the_trial_they_came_in(hall):
    await two(hall, 0.5, new=answering("500 Oops"), by="request")
    for _ in range(30):
        await hall.ask()
    found = tallies(hall)
    assert found[OLD.id].failures == found[NEW.id].answers == 0
    assert found[OLD.id].answers + found[NEW.id].failures == 30
    assert sum(found[OLD.id].waits) == found[OLD.id].answers > 0
    assert found[NEW.id].trial == progress(0.5).trial


async def test_checks_of_health_are_no_requests(hall):
    await two(hall, 0.5)
    endpoints = hall.gateway.routes.find("default", "digits").endpoints
    for endpoint in endpoints:
        await check(endpoint, asyncio.get_running_loop().time)
    assert {tally.requests for tally in tallies(hall).values()} == {0}


def labelled(label: str):
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        outputs = [{"name": "label", "datatype": "BYTES", "shape": [1], "data": [label]}]
        writer.write(http(json.dumps({"outputs": outputs}).encode(), "content-type: application/json"))

    return behave


async def shadowed(hall, behave=well, share: float = 1.0, main=well) -> tuple[StandIn, StandIn]:
    served = await hall.replica("served", behave=main, **of(OLD))
    shadow = await hall.replica("shadow", behave=behave, **of(NEW))
    rollout = {"shadow": {"model": "digits@3", "share": share}}
    status = {"version": OLD.version, "release": OLD, "shadow": NEW.id}
    await hall.declare(served, shadow, status=status, rollout=rollout)
    return served, shadow


async def test_a_shadow_gets_copies_whose_answers_nobody_sees_or_pays_for(hall):
    served, shadow = await shadowed(hall, labelled("7"), share=0.5, main=labelled("3"))
    for _ in range(10):
        answer = await hall.ask(PATH, b'{"inputs": [1]}')
        assert json.loads(answer.body)["outputs"][0]["data"] == ["3"]
    await eventually(lambda: len(shadow.seen) == 5)
    assert {seen.body for seen in shadow.seen} == {b'{"inputs": [1]}'}
    assert len(served.seen) == len(hall.usage) == 10
    assert {usage.replica for usage in hall.usage} == {"served"}


async def test_how_often_a_shadow_differs_and_fails_is_counted(hall):
    served, shadow = await shadowed(hall, labelled("7"), main=labelled("3"))
    await hall.ask()
    await eventually(lambda: shadow.seen)
    await eventually(lambda: served.seen)
    shadow.behave = labelled("3")
    await hall.ask()
    await eventually(lambda: len(shadow.seen) == 2)
    shadow.behave = answering("500 Oops")
    await hall.ask()
    await eventually(lambda: len(shadow.seen) == 3)
    async with asyncio.timeout(10):
        while (found := tallies(hall)[NEW.id]).requests < 3 or found.compared < 2:
            await asyncio.sleep(0.01)
    assert (found.answers, found.failures, found.compared, found.differing) == (2, 1, 2, 1)


async def test_a_shadow_that_hangs_holds_nobody_up_and_the_rest_is_dropped(hall):
    _, shadow = await shadowed(hall, silently)
    answers = [await hall.ask() for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    found = tallies(hall)[NEW.id]
    assert found.dropped >= 20 - 8
    assert len(shadow.seen) <= 8


async def test_a_shadow_answers_nobody_even_when_nobody_else_does(hall):
    served, shadow = await shadowed(hall)
    served.die()
    assert (await hall.ask()).status in (502, 503)
    assert shadow.seen == []
