"""Rows are erased, on virtual time: from the record to the service that never learned of them, through restarts."""

from __future__ import annotations

import asyncio

import pytest
from virtual_hall import World, declare, stage_of

from modelhall.core.kinds import Key
from modelhall.core.kinds.dataset import Erasure
from modelhall.core.ports.store import Put
from modelhall.twin.plant import Plant


def erase(plant: Plant, world: World) -> None:
    """Record an erasure; what is prepared from then on is another artifact, as its bytes are others."""
    world.artifact = "e" * 64

    async def record() -> None:
        found = await plant.store.get(Key("dataset", "default", "digits"))
        assert found is not None
        erasure = Erasure(id="e1", at=0.0, by="token default/first")
        await plant.store.commit([Put(resource=found.with_status(erasures=(erasure,)))])

    asyncio.run(record())


def started(plant: Plant, stage: str) -> int:
    return sum(stage_of(launch) == stage for launch in plant.launcher.starts)


@pytest.mark.parametrize("restart_every_s", [1000, 7, 3])
def test_from_the_record_all_follows_once_however_often_the_hall_is_started_anew(
    plant: Plant, world: World, restart_every_s: int
) -> None:
    declare(plant)
    plant.advance(60)
    (learned,) = plant.get("model", "digits").status.versions
    erase(plant, world)
    for _ in range(0, 120, restart_every_s):
        plant.advance(min(restart_every_s, 120))
        plant.restart()
    old, new = plant.get("dataset", "digits").status.versions
    assert (old.erased, new.erased, new.erasures) == ("e1", None, ("e1",))
    first, second = plant.get("model", "digits").status.versions
    assert (first.erased_data, second.erased_data) == (True, False)
    assert plant.get("service", "digits").status.version == second.id != learned.id
    assert [started(plant, stage) for stage in ("prepare", "erase", "train")] == [2, 1, 2]


def test_a_service_goes_on_with_the_old_version_until_there_is_another(plant: Plant, world: World) -> None:
    declare(plant)
    plant.advance(60)
    (learned,) = plant.get("model", "digits").status.versions
    erase(plant, world)
    world.accuracy = 0.5  # without these rows it is not good enough
    plant.advance(120)
    assert plant.get("model", "digits").status.state == "refused"
    service = plant.get("service", "digits").status
    assert (service.state, service.version) == ("ready", learned.id)
