"""The table of services follows the store, and stands without it."""

from __future__ import annotations

import asyncio

import pytest
from stand_ins import eventually, service, silently, well

from modelhall.adapters.store.memory import MemoryStore
from modelhall.core.errors import NotNow
from modelhall.core.follower import Follower
from modelhall.core.ports.store import Put
from modelhall.gateway.outbox import Outbox
from modelhall.gateway.routes import Routes

pytestmark = pytest.mark.anyio


class FlakyStore(MemoryStore):
    """A store that can be out of reach."""

    failure: Exception | None = None
    asked = 0

    async def all(self, kind, project=None):
        return self._unless_gone(await super().all(kind, project))

    async def changes(self, after, limit=1000):
        return self._unless_gone(await super().changes(after, limit))

    def _unless_gone(self, found):
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return found


@pytest.fixture
async def hall(hall):
    """The same gateway, over a store that can be out of reach."""
    hall.store.__class__ = FlakyStore
    return hall


async def test_services_come_change_and_go(hall):
    first, second = await hall.replica("first"), await hall.replica("second")
    assert (await hall.ask()).status == 404
    await hall.declare(first)
    assert (await hall.ask()).status == 200
    await hall.declare(second)
    assert (await hall.ask()).status == 200
    assert [len(first.seen), len(second.seen)] == [1, 1]
    await hall.remove("digits")
    assert (await hall.ask()).status == 404


async def test_replicas_that_stay_keep_their_health_and_connections(hall):
    stays, goes, comes = [await hall.replica(name) for name in ("stays", "goes", "comes")]
    await hall.declare(stays, goes)
    before = hall.gateway.routes.find("default", "digits").endpoints[0]
    await hall.declare(stays, comes)
    assert hall.gateway.routes.find("default", "digits").endpoints[0] is before


async def test_a_request_on_a_replica_that_is_taken_away_is_still_answered(hall):
    go_on = asyncio.Event()

    async def late(seen, writer):
        await go_on.wait()
        await well(seen, writer)

    (old,) = await hall.serving(late)
    asked = asyncio.ensure_future(hall.ask())
    await eventually(lambda: old.seen)
    await hall.declare(await hall.replica("new"))
    go_on.set()
    assert (await asked).status == 200


@pytest.mark.parametrize("failure", [NotNow("gone", delay_s=1), OSError("disk"), RuntimeError("a bug")])
async def test_serving_goes_on_while_the_store_is_gone_and_catches_up_after(hall, failure):
    await hall.serving(well)
    hall.store.failure, asked = failure, hall.store.asked
    await eventually(lambda: hall.store.asked > asked + 2)
    assert (await hall.ask()).status == 200
    hall.store.failure = None
    new = await hall.replica("new")
    await hall.declare(new)
    assert (await hall.ask()).status == 200
    assert len(new.seen) == 1


async def test_one_service_that_makes_no_sense_does_not_hold_up_the_others(hall):
    replica = await hall.replica()
    await hall.declare(replica, name="odd", balance="by-horoscope")
    nowhere = await hall.replica("nowhere")
    nowhere.address = "the third door on the left"
    await hall.declare(nowhere, name="odder")
    await hall.declare(replica)
    assert (await hall.ask()).status == 200
    assert (await hall.ask("/v2/models/odd/infer")).status == 404


async def test_what_there_was_before_the_gateway_is_found_and_followed():
    store = MemoryStore()
    for name in ("a", "b"):
        await store.commit([Put(resource=service(name=name))])
    routes = Routes(Outbox(lambda lines: None))
    following = asyncio.ensure_future(Follower(store, routes).follow())
    await eventually(lambda: routes.loaded)
    assert [route.key.name for route in routes] == ["a", "b"]
    await store.commit([Put(resource=service(name="c"))])
    await eventually(lambda: routes.find("default", "c"))
    following.cancel()


async def test_readiness_waits_for_the_first_reading_of_the_store(hall):
    assert (await hall.ask("/v2/health/ready", b"", method="GET")).status == 200
    hall.gateway.routes.known.clear()
    hall.store.failure = NotNow("gone", delay_s=1)
    assert (await hall.ask("/v2/health/ready", b"", method="GET")).status == 503
    assert (await hall.ask("/v2/models/digits/infer")).status == 503


async def test_a_replica_that_is_taken_away_while_it_is_silent_lets_its_request_go_elsewhere(hall):
    (old,) = await hall.serving(silently, try_timeout_s=0.5)
    asked = asyncio.ensure_future(hall.ask())
    await eventually(lambda: old.seen)
    await hall.declare(await hall.replica("new"), try_timeout_s=0.5)
    assert (await asked).status == 200
