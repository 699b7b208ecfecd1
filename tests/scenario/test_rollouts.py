"""A new version comes into use step by step, or is sent back, on virtual time over the real loop."""

from __future__ import annotations

import pytest
from virtual_gateway import Behaviour, VirtualGateway
from virtual_hall import HALL_FILE, World, declare

from modelhall.core.errors import Conflict
from modelhall.twin.plant import Plant

CANARY = """\
rollout:
  canary: {steps: [10%, 50%], every_s: 30, requests: 50}
"""
CAREFUL = HALL_FILE + CANARY
RATE = 40.0


def upgraded(text: str = CAREFUL) -> str:
    """The same with a model that is trained for longer, which makes another version."""
    return text.replace("require:", "train: {epochs: 9}\nrequire:")


@pytest.fixture
def old(plant: Plant) -> str:
    """The version that serves; a newer one is accepted a little later."""
    declare(plant, CAREFUL)
    plant.advance(60)
    version = plant.get("service", "digits").status.version
    declare(plant, upgraded())
    assert isinstance(version, str)
    return version


def events(plant: Plant) -> list[str]:
    return [event.name for event in plant.events() if event.name.startswith("rollout.")]


def status(plant: Plant):
    return plant.get("service", "digits").status


def test_a_version_that_does_well_gets_more_step_by_step_and_then_all(plant: Plant, old: str) -> None:
    gateway, shares = VirtualGateway(plant), []

    def note() -> None:
        progress = status(plant).rollout
        shares.append(1.0 if status(plant).version != old else progress.share if progress else 0.0)

    gateway.serve(150, RATE, note)
    assert sorted(set(shares)) == [0.0, 0.1, 0.5, 1.0]
    assert shares == sorted(shares)
    assert all(shares.count(share) >= 30 for share in (0.1, 0.5))
    assert status(plant).state == "ready"
    assert status(plant).rollout is None
    assert events(plant)[-1] == "rollout.finished"
    assert {replica.version for replica in status(plant).replicas} == {status(plant).version}


@pytest.mark.parametrize(
    ("bad", "said"),
    [(Behaviour(fails=0.2), "of its requests failed"), (Behaviour(takes_s=0.5), "95 % of its answers began")],
)
def test_a_version_that_does_worse_is_sent_back_and_it_is_said_why(
    plant: Plant, old: str, bad: Behaviour, said: str
) -> None:
    gateway = VirtualGateway(plant, lambda version: Behaviour() if version == old else bad)
    gateway.serve(100, RATE)
    assert status(plant).version == old
    assert status(plant).state == "refused"
    assert said in status(plant).reason
    assert said in status(plant).problem.message
    assert events(plant)[-1] == "rollout.rolled-back"
    new = gateway.asked.total() - gateway.asked[old]
    assert 0 < new < 0.1 * gateway.asked.total()
    assert {replica.version for replica in status(plant).replicas} == {old}


def test_without_enough_requests_nothing_is_decided(plant: Plant, old: str) -> None:
    VirtualGateway(plant).serve(300, 0.5)
    assert status(plant).version == old
    assert status(plant).rollout.state == "stepping"
    assert status(plant).rollout.step == 0


@pytest.mark.parametrize("fails", [0.0, 0.2])
def test_a_control_plane_that_is_killed_every_second_comes_to_the_same_end(
    plant: Plant, old: str, fails: float
) -> None:
    gateway = VirtualGateway(plant, lambda version: Behaviour(fails=0.0 if version == old else fails))
    gateway.serve(150, RATE, plant.restart)
    assert (status(plant).version == old) is (fails > 0)
    ended = ["rolled-back"] if fails else ["stepping", "full", "finished"]
    assert events(plant) == [f"rollout.{event}" for event in ("starting", "stepping", *ended)]


def test_gateways_that_are_killed_take_nothing_along_of_what_they_counted(plant: Plant, old: str) -> None:
    for life in range(20):
        VirtualGateway(plant, name=f"g{life}").serve(8, RATE)
    assert status(plant).version != old
    assert events(plant)[-1] == "rollout.finished"


def test_what_is_asked_of_a_rollout_by_hand_is_done(plant: Plant, old: str) -> None:
    gateway = VirtualGateway(plant)
    gateway.serve(40, RATE)
    plant.steer("digits", "pause")
    gateway.serve(60, RATE)
    assert (status(plant).rollout.step, status(plant).rollout.paused) == (0, True)
    plant.steer("digits", "resume")
    gateway.serve(10, RATE)
    assert status(plant).rollout.step == 1
    plant.steer("digits", "abort")
    gateway.serve(10, RATE)
    assert (status(plant).version, status(plant).state) == (old, "refused")
    with pytest.raises(Conflict, match="sent it back already"):
        plant.steer("digits", "pause")
    plant.steer("digits", "promote")
    gateway.serve(20, RATE)
    assert status(plant).version != old
    with pytest.raises(Conflict, match="no release of service digits is on its way"):
        plant.steer("digits", "promote")


def test_a_version_that_was_sent_back_stays_so_until_there_is_another(plant: Plant, old: str) -> None:
    bad: set[str] = set()
    gateway = VirtualGateway(plant, lambda version: Behaviour(fails=0.5 if version in bad else 0.0))
    gateway.serve(25, 0)
    bad.add(status(plant).rollout.version)
    gateway.serve(100, RATE)
    assert status(plant).rollout.state == "rolled-back"
    plant.restart()
    gateway.serve(60, RATE)
    assert status(plant).version == old
    declare(plant, upgraded().replace("epochs: 9", "epochs: 8"))
    gateway.serve(150, RATE)
    assert status(plant).version not in (old, *bad)


def test_whoever_goes_back_to_the_old_document_has_no_canary_left(plant: Plant, old: str) -> None:
    gateway = VirtualGateway(plant)
    gateway.serve(40, RATE)
    assert status(plant).rollout.state == "stepping"
    declare(plant, CAREFUL)
    gateway.serve(20, RATE)
    assert (status(plant).version, status(plant).state, status(plant).rollout) == (old, "ready", None)
    assert len(status(plant).replicas) == 2
    assert events(plant)[-1] == "rollout.withdrawn"


def test_another_batching_of_the_same_version_takes_the_same_way(plant: Plant) -> None:
    declare(plant, CAREFUL)
    plant.advance(60)
    before = status(plant).release
    declare(plant, CAREFUL + "batching: {max_size: 4}\n")
    gateway = VirtualGateway(plant)
    gateway.serve(10, RATE)
    assert status(plant).rollout.share == 0.1
    assert status(plant).release == before
    gateway.serve(120, RATE)
    assert status(plant).release.order["batching"]["max_size"] == 4
    assert status(plant).version == before.version


def test_a_version_that_was_measured_to_be_worse_gets_no_request(plant: Plant, world: World) -> None:
    measured = {"metrics": {"accuracy": 0.99}, "rows": 20, "artifact": "e" * 64}
    world.result["evaluate"] = {"output": measured}
    declare(plant, CAREFUL)
    plant.advance(60)
    served = status(plant).version
    worse = {"before": 0.99, "after": 0.96, "interval": [-0.04, -0.02], "p": 0.0001}
    comparison = {"against": served, "rows": 20, "figures": {"accuracy": worse}}
    world.result["evaluate"] = {"output": {**measured, "artifact": "f" * 64, "comparison": comparison}}
    declare(plant, upgraded())
    gateway = VirtualGateway(plant)
    gateway.serve(120, RATE)
    assert status(plant).version == served
    assert "its accuracy is 0.96, and 0.99 before" in status(plant).reason
    assert set(gateway.asked) == {served}


def test_a_replica_that_is_to_go_ends_what_it_is_at_and_is_waited_for_only_so_long(
    plant: Plant, old: str
) -> None:
    gateway = VirtualGateway(plant)
    slow, stuck = (replica.run for replica in status(plant).replicas)
    gateway.stuck.update([slow, stuck])
    gateway.serve(40, RATE)
    plant.steer("digits", "promote")
    gateway.serve(20, RATE)
    assert status(plant).version != old
    assert {r.run for r in status(plant).replicas if r.state == "draining"} == {slow, stuck}
    assert {slow, stuck} <= set(plant.launcher.running())
    del gateway.stuck[slow]
    gateway.serve(10, RATE)
    assert slow not in plant.launcher.running()
    assert stuck in plant.launcher.running()
    gateway.serve(60, RATE)
    assert stuck not in plant.launcher.running()


def test_a_shadow_has_a_replica_of_its_own_and_gets_no_request(plant: Plant, old: str) -> None:
    gateway = VirtualGateway(plant)
    gateway.serve(150, RATE)
    new = status(plant).version
    declare(plant, upgraded(HALL_FILE + f"rollout: {{shadow: {{model: 'digits@{old[:8]}', share: 20%}}}}\n"))
    gateway.serve(20, RATE)
    shadows = [replica for replica in status(plant).replicas if replica.release == status(plant).shadow]
    assert [(replica.version, replica.state) for replica in shadows] == [(old, "ready")]
    assert {replica.version for replica in status(plant).ready} == {new}
    declare(plant, upgraded(HALL_FILE))
    gateway.serve(20, RATE)
    assert status(plant).shadow is None
    assert {replica.version for replica in status(plant).replicas} == {new}
