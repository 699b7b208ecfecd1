"""A request as a span: what its replica is told, and what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from stand_ins import breaking, well

pytestmark = pytest.mark.anyio

CALLERS = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OURS = b"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


class Kept:
    """Traces that stay here, and one of their spans."""

    parent = OURS

    def __init__(self) -> None:
        self.begun: list[tuple[str, Mapping[bytes, bytes]]] = []
        self.ended: list[tuple[dict[str, Any], bool]] = []

    def begin(self, name: str, headers: Mapping[bytes, bytes]) -> Kept:
        self.begun.append((name, headers))
        return self

    def end(self, facts: Mapping[str, Any], *, failed: bool) -> None:
        self.ended.append((dict(facts), failed))

    def close(self) -> None:
        pass


@pytest.fixture
async def traced(gateway_with):
    hall = gateway_with(traces=Kept())
    await hall.start()
    yield hall
    await hall.stop()


async def test_a_replica_is_told_the_gateways_span_as_its_parent(traced):
    (replica,) = await traced.serving(well)
    for _ in range(2):  # the second one's head is recognised, and not read
        await traced.ask(
            "/v2/models/digits/infer", b"{}", f"traceparent: {CALLERS.decode()}", "tracestate: a=b"
        )
    name, headers = traced.traces.begun[0]
    assert (name, headers[b"traceparent"]) == ("POST /v2", CALLERS)
    assert [seen.headers["traceparent"] for seen in replica.seen] == [OURS.decode()] * 2
    assert [seen.headers["tracestate"] for seen in replica.seen] == ["a=b"] * 2


async def test_without_traces_the_callers_own_is_passed_on(hall):
    (replica,) = await hall.serving(well)
    await hall.ask("/v2/models/digits/infer", b"{}", f"traceparent: {CALLERS.decode()}")
    await hall.ask()
    assert [seen.headers.get("traceparent") for seen in replica.seen] == [CALLERS.decode(), None]


async def test_a_span_ends_with_what_came_of_the_request(traced):
    await traced.serving(well)
    await traced.ask()
    ((facts, failed),) = traced.traces.ended
    assert not failed
    assert facts["http.response.status_code"] == 200
    assert facts["modelhall.service"] == "service/default/digits"
    assert facts["modelhall.replica"] == "r0"
    assert facts["modelhall.request"] == traced.usage[0].request
    await traced.serving(breaking, retries=0)
    await traced.ask()
    facts, failed = traced.traces.ended[1]
    assert (facts["http.response.status_code"], failed) == (502, True)
