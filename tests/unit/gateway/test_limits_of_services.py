"""Limits, prices and budgets as callers meet them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from stand_ins import Seen, answering, breaking, eventually, http

from modelhall.core.kinds import Project, Token
from modelhall.core.kinds.limits import NANO, Price
from modelhall.core.kinds.project import ProjectResource, ProjectStatus
from modelhall.core.kinds.token import TokenResource, TokenStatus

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
TOLD = b'{"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 20, "compute_s": 0.5}}'
PRICE = {"request": 0.01, "million_in": 1000, "million_out": 1000}  # 0.001 a token
COSTS = 0.01 + 30 * 0.001


async def tells(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer, having read 10 tokens and told 20."""
    writer.write(http(TOLD, "content-type: application/json"))


async def ask(hall, **more: Any):
    body = {"model": "digits", "messages": [], "max_tokens": 20, **more}
    return await hall.ask(CHAT, json.dumps(body).encode())


async def give(hall, budget: str | None = None, **limits: str) -> None:
    """Make the project have this budget and these limits."""
    document = Project.model_validate({"name": "default", "budget": budget, "limits": limits})
    await hall.put(
        ProjectResource(document=document, status=ProjectStatus(), uid="p", created_at=0.0, updated_at=0.0)
    )


async def test_a_service_lets_in_as_many_as_it_says_and_tells_the_others_when_to_come(hall):
    (replica,) = await hall.serving(tells, limits={"requests": "3/hour"})
    answers = [await ask(hall) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"3"}
    error = json.loads(answers[-1].body)["error"]
    assert error["type"] == "rate_limit_error"
    assert error["code"] == "rate_limit_exceeded"
    assert "3/hour" in error["message"]
    assert 1100 <= int(answers[-1].headers["retry-after"]) <= 1200
    assert len(replica.seen) == 3


async def test_a_refusal_by_the_open_inference_protocol_has_its_shape(hall):
    await hall.serving(answering("200 OK"), limits={"requests": "1/hour"})
    assert (await hall.ask()).status == 200
    refused = await hall.ask()
    assert refused.status == 429
    assert "1/hour" in refused.error


async def test_one_caller_uses_up_his_own_limit(hall):
    await hall.serving(tells, limits={"each": {"requests": "1/hour"}})
    refused = [await ask(hall) for _ in range(2)][1]
    assert refused.status == 429
    assert "token default/x at service 'digits'" in json.loads(refused.body)["error"]["message"]


async def test_a_token_is_limited_over_all_services(hall):
    first, second = await hall.replica("a", behave=tells), await hall.replica("b", behave=tells)
    await hall.declare(first)
    await hall.declare(second, name="letters")
    token = Token.model_validate({"name": "x", "role": "viewer", "limits": {"requests": "2/day"}})
    await hall.put(
        TokenResource(document=token, status=TokenStatus(), uid="t", created_at=0.0, updated_at=0.0)
    )
    found = [(await ask(hall, model=model)).status for model in ("digits", "letters", "digits", "letters")]
    assert found == [200, 200, 429, 429]


async def test_tokens_are_reserved_at_most_and_counted_as_they_were(hall):
    await hall.serving(tells, limits={"tokens": "1000/hour"})
    first = await ask(hall)
    reserved = 1000 - int(first.headers["x-ratelimit-remaining-tokens"])
    assert reserved > 30
    assert int((await ask(hall)).headers["x-ratelimit-remaining-tokens"]) == 1000 - 30 - reserved
    await hall.ask(CHAT, json.dumps({"model": "digits", "max_tokens": 20}).encode())
    assert int((await ask(hall)).headers["x-ratelimit-remaining-tokens"]) == 1000 - 90 - reserved


async def test_what_no_limit_has_room_for_is_refused_for_good(hall):
    (replica,) = await hall.serving(tells, limits={"tokens": "1000/hour"})
    refused = await ask(hall, max_tokens=5000)
    assert refused.status == 400
    error = json.loads(refused.body)["error"]
    assert error["param"] == "max_tokens"
    assert "1000/hour" in error["message"]
    assert not replica.seen


async def test_a_request_is_charged_by_its_price(hall):
    await hall.serving(tells, price=PRICE)
    assert (await ask(hall)).status == 200
    assert [usage.charge_nano for usage in hall.usage] == [round(COSTS * NANO)]


async def test_what_was_not_answered_is_not_charged(hall):
    await hall.serving(answering("400 Bad", b'{"error": {"message": "no"}}'), price=PRICE)
    await give(hall, "1/month")
    assert (await ask(hall)).status == 400
    await hall.serving(breaking, price=PRICE, retries=0)
    assert (await ask(hall)).status == 502
    assert [usage.charge_nano for usage in hall.usage] == [0, 0]


async def test_nobody_is_charged_more_than_was_reserved_for_him(hall):
    told = TOLD.replace(b'"prompt_tokens": 10', b'"prompt_tokens": 999999')
    await hall.serving(answering("200 OK", told), price=PRICE)
    await ask(hall, max_tokens=20)
    (usage,) = hall.usage
    assert usage.tokens_in == 999_999
    assert usage.charge_nano < 2 * NANO


async def test_an_answer_that_does_not_say_what_it_took_is_charged_as_reserved(hall):
    """So that nobody pays less by another protocol."""
    await hall.serving(answering("200 OK", b'{"outputs": []}'), price=PRICE, reply_tokens=100)
    assert (await hall.ask()).status == 200
    assert hall.usage[0].charge_nano > round((0.01 + 100 * 0.001) * NANO)


async def test_200_callers_at_once_spend_the_budget_of_100_and_not_a_cent_more(hall):
    await hall.serving(tells, price={"request": 0.01})
    await give(hall, "1/month")
    found = await asyncio.gather(*(ask(hall) for _ in range(200)))
    assert sorted(answer.status for answer in found) == [200] * 100 + [429] * 100
    assert sum(usage.charge_nano for usage in hall.usage) == NANO


async def test_a_spent_budget_is_told_of_as_clients_know_it(hall):
    (replica,) = await hall.serving(tells, price={"request": 0.6})
    await give(hall, "1/month")
    assert (await ask(hall)).status == 200
    refused = await ask(hall)
    assert refused.status == 429
    assert refused.headers["x-should-retry"] == "false"
    assert json.loads(refused.body)["error"]["code"] == "insufficient_quota"
    assert len(replica.seen) == 1


async def test_what_is_reserved_for_others_may_be_free_again_soon(hall):
    go_on = asyncio.Event()

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await tells(seen, writer)

    (replica,) = await hall.serving(slowly, price={"million_out": 10_000}, try_timeout_s=30)
    await give(hall, "1/month")
    first = asyncio.ensure_future(ask(hall, max_tokens=90))  # may cost 0.9, and will cost 0.2
    await eventually(lambda: replica.seen)
    refused = await ask(hall, max_tokens=20)
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    assert "x-should-retry" not in refused.headers
    go_on.set()
    assert (await first).status == 200
    assert (await ask(hall, max_tokens=20)).status == 200


@pytest.mark.parametrize("price", [{}, {"request": 0}])
async def test_without_a_price_a_budget_of_nothing_stops_nobody(hall, price):
    await hall.serving(tells, price=price)
    await give(hall, "0/month")
    assert (await ask(hall)).status == 200


async def test_with_a_price_a_budget_of_nothing_stops_everybody(hall):
    (replica,) = await hall.serving(tells, price={"request": 1e-9})
    await give(hall, "0/month")
    assert (await ask(hall)).status == 429
    assert not replica.seen


async def test_a_project_is_limited_over_all_services(hall):
    first, second = await hall.replica("a", behave=tells), await hall.replica("b", behave=tells)
    await hall.declare(first)
    await hall.declare(second, name="letters")
    await give(hall, requests="3/day")
    found = [(await ask(hall, model=model)).status for model in ("digits", "letters") * 2]
    assert found == [200, 200, 200, 429]


async def test_a_limit_that_is_changed_holds_at_once(hall):
    (replica,) = await hall.serving(tells, limits={"requests": "1/day"})
    assert [(await ask(hall)).status for _ in range(2)] == [200, 429]
    await hall.declare(replica, limits={"requests": "5/day"})
    assert [(await ask(hall)).status for _ in range(6)] == [200] * 5 + [429]
    await hall.declare(replica)
    assert (await ask(hall)).status == 200


async def test_the_halls_prices_are_the_lowest(gateway_with):
    hall = gateway_with(least=Price(request=0.5))
    await hall.start()
    try:
        await hall.serving(tells, price={"request": 0.1})
        await ask(hall)
        assert hall.usage[0].charge_nano == NANO // 2
    finally:
        await hall.stop()


async def test_what_was_charged_is_measured(hall):
    await hall.serving(tells, price={"request": 0.25})
    await ask(hall)
    assert 'modelhall_gateway_charged_total{service="default/digits"} 0.250000000' in await hall.metrics()


@pytest.mark.parametrize(
    "more",
    [
        {"max_tokens": -5}, {"max_tokens": 10**400}, {"max_tokens": "many"}, {"max_tokens": True},
        {"n": 10**300, "max_tokens": 10**300}, {"prompt": [[]] * 50}, {"prompt": {}},
        {"max_completion_tokens": None},
    ],
    ids=repr,
)  # fmt: skip
async def test_strange_numbers_are_left_to_the_replica_or_refused(hall, more):
    await hall.serving(tells, limits={"tokens": "100000/hour", "money": "100/day"}, price=PRICE)
    assert (await ask(hall, **more)).status in (200, 400)
    assert (await ask(hall)).status == 200
