"""Replicas come and go by what is asked, on virtual time over the real loop, with requests that come by chance."""

from __future__ import annotations

from itertools import pairwise

from virtual_gateway import Behaviour, VirtualGateway
from virtual_hall import HALL_FILE, World, declare

from modelhall.adapters.launcher.virtual import Script
from modelhall.twin.plant import Plant

SCALED = HALL_FILE.replace("replicas: 2", "replicas: {min: 1, max: 8, target: 2, cool_down_s: 30}")
RESTING = HALL_FILE.replace("replicas: 2", "replicas: {min: 0, max: 3, target: 2, cool_down_s: 30}")


def replicas(plant: Plant) -> int:
    return len(plant.get("service", "digits").status.ready)


def serving(plant: Plant, text: str) -> VirtualGateway:
    declare(plant, text)
    gateway = VirtualGateway(plant, lambda version: Behaviour(takes_s=0.2))
    plant.advance(60)
    gateway.serve(10, 5)
    return gateway


def test_there_are_as_many_as_the_load_needs_and_no_more_after_it(plant: Plant) -> None:
    gateway = serving(plant, SCALED)
    assert replicas(plant) == 1
    gateway.serve(30, 50)  # ten at a time
    assert 5 <= replicas(plant) <= 7
    gateway.serve(90, 5)
    assert replicas(plant) == 1


def test_a_load_that_varies_by_chance_does_not_make_their_number_flap(plant: Plant) -> None:
    gateway = serving(plant, SCALED)
    gateway.serve(60, 25)
    counts: list[int] = []
    gateway.serve(300, 25, lambda: counts.append(plant.get("service", "digits").status.scale.count))
    changes = sum(one != other for one, other in pairwise(counts))
    assert {2, 3, 4} >= set(counts)
    assert changes <= 6


def test_never_more_than_max_however_much_is_asked(plant: Plant) -> None:
    gateway = serving(plant, SCALED)
    gateway.serve(40, 500)
    assert replicas(plant) == 8


def test_a_service_nobody_asks_rests_and_the_first_request_after_that_is_held_and_answered(
    plant: Plant,
) -> None:
    gateway = serving(plant, RESTING)
    gateway.serve(90, 0)
    status = plant.get("service", "digits").status
    assert (status.replicas, status.state) == ((), "ready")
    before = gateway.asked.total()
    gateway.serve(1, 1000)
    assert gateway.asked.total() == before
    gateway.serve(6, 0)
    assert replicas(plant) >= 1
    assert gateway.asked.total() > before


def test_one_request_now_and_then_keeps_a_service_from_resting(plant: Plant) -> None:
    gateway = serving(plant, RESTING)
    fewest = 9
    for _ in range(25):
        gateway.serve(1, 1000)
        gateway.serve(7, 0)
        fewest = min(fewest, replicas(plant))
    assert fewest >= 1


def test_what_was_decided_outlives_the_control_plane(plant: Plant) -> None:
    gateway = serving(plant, SCALED)
    gateway.serve(60, 50, plant.restart)
    many = replicas(plant)
    assert 5 <= many <= 7
    gateway.serve(15, 5, plant.restart)
    assert 5 <= replicas(plant) <= many
    gateway.serve(60, 5, plant.restart)
    assert replicas(plant) == 1


def test_without_word_from_a_gateway_their_number_stays(plant: Plant) -> None:
    gateway = serving(plant, SCALED)
    gateway.serve(30, 50)
    plant.advance(10)
    many = replicas(plant)
    plant.advance(300)
    assert replicas(plant) == many > 1


def test_a_service_scales_by_its_queue_where_that_is_wanted(plant: Plant) -> None:
    gateway = serving(
        plant, SCALED.replace("target: 2", "by: queue, target: 2") + "batching: {max_size: 1}\n"
    )
    gateway.serve(30, 50)
    assert 3 <= replicas(plant) <= 5
    gateway.serve(90, 0)
    assert replicas(plant) == 1


def test_a_canary_of_a_service_that_could_rest_does_not_rest(plant: Plant, world: World) -> None:
    text = RESTING + "rollout: {canary: {steps: [50%], every_s: 30, requests: 20}}\n"
    gateway = serving(plant, text)
    declare(plant, text.replace("require:", "train: {epochs: 9}\nrequire:"))
    gateway.serve(120, 0)
    before = plant.get("service", "digits").status
    assert before.rollout is not None
    assert len(before.ready) == 1
    gateway.serve(60, 20)
    after = plant.get("service", "digits").status
    assert (after.rollout, after.version) == (None, before.rollout.version)


def test_replicas_that_do_not_start_are_not_asked_for_ever_more_of(plant: Plant, world: World) -> None:
    gateway = serving(plant, SCALED)
    script = world.script

    def broken(launch):
        return Script(takes_s=1.0, code=1, result={}) if "service" in (launch.order or {}) else script(launch)

    plant.launcher._script = broken
    gateway.serve(60, 500)
    assert len([run for run in plant.all("run") if run.document.restart]) == 8
