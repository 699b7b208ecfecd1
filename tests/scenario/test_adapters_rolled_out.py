"""A new version of an adapter comes into use as any other release does, on virtual time over the real loop."""

from __future__ import annotations

import pytest
from virtual_gateway import VirtualGateway
from virtual_hall import World, declare

from modelhall.adapters.launcher.virtual import Script
from modelhall.core.ports.launcher import Launch
from modelhall.twin.plant import Plant

HALL_FILE = """
kind: dataset
name: talks
source: digits.csv
---
kind: model
name: base
task: text-generation
data: talks
network: {family: llama}
---
kind: model
name: clerk
task: text-generation
data: talks
base: model://base
train: {adapter: {lora: {rank: 4}}}
---
kind: model
name: legal
task: text-generation
data: talks
base: model://base
train: {epochs: 1, adapter: {lora: {rank: 8}}}
---
kind: service
name: digits
model: clerk
adapters: {legal: legal}
replicas: 2
rollout:
  canary: {steps: [10%, 50%], every_s: 30, requests: 50}
"""
NEWER = HALL_FILE.replace("epochs: 1", "epochs: 2")
RATE = 40.0


class Loading(World):
    """Replicas load what they are told to; once one version of an adapter is all that is sound, no other."""

    sound: str | None = None

    def script(self, launch: Launch) -> Script:
        beside = (launch.order or {}).get("adapters", {})
        if self.sound and any(adapter["version"] != self.sound for adapter in beside.values()):
            problem = {
                "message": "adapter 'legal' stands on the base 77, and the model on 88",
                "who": "caller",
            }
            return Script(takes_s=2.0, result={"problem": problem}, code=2)
        return super().script(launch)


@pytest.fixture
def world() -> Loading:
    return Loading()


@pytest.fixture
def old(plant: Plant) -> str:
    """The version of the adapter that is served; a newer one is accepted a little later."""
    declare(plant, HALL_FILE)
    plant.advance(150)
    assert status(plant).state == "ready", status(plant).reason
    version: str = status(plant).adapters["legal"].version
    return version


def status(plant: Plant):
    return plant.get("service", "digits").status


def newest(plant: Plant) -> str:
    return plant.get("model", "legal").status.version


def test_a_new_version_of_an_adapter_comes_step_by_step_and_the_rest_of_the_release_stays(
    plant: Plant, old: str
) -> None:
    own, shares = status(plant).version, []
    declare(plant, NEWER)

    def note() -> None:
        progress = status(plant).rollout
        done = status(plant).adapters["legal"].version != old
        shares.append(1.0 if done else progress.share if progress else 0.0)

    VirtualGateway(plant).serve(200, RATE, note)
    assert sorted(set(shares)) == [0.0, 0.1, 0.5, 1.0]
    assert shares == sorted(shares)
    assert (status(plant).state, status(plant).version) == ("ready", own)
    assert status(plant).adapters["legal"].version == newest(plant)
    assert [replica.adapters["legal"].number for replica in status(plant).replicas] == [2, 2]
    told = [event.message for event in plant.events() if event.name == "rollout.stepping"]
    assert told[0] == "digits@1, digits:legal@2 gets 0.1 of the requests"


def test_an_adapter_that_no_replica_loads_is_sent_back_and_the_one_before_goes_on(
    plant: Plant, old: str, world: Loading
) -> None:
    world.sound = old
    declare(plant, NEWER)
    VirtualGateway(plant).serve(60, RATE)
    assert newest(plant) != old
    assert status(plant).state == "refused"
    assert "stands on the base 77" in status(plant).problem.message
    assert {replica.adapters["legal"].version for replica in status(plant).ready} == {old}
    plant.restart()
    VirtualGateway(plant).serve(30, RATE)
    assert status(plant).adapters["legal"].version == old
