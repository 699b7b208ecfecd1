"""Services that rest when nobody asks, and versions that come into use step by step, under real requests."""

from __future__ import annotations

import json
from collections import Counter

import httpx
import pytest
from real_hall import RealHall, image_request, until

from modelhall.core.kinds import Key

pytestmark = pytest.mark.e2e

RESTING = """\
kind: service
name: resting
model: digits
replicas: {min: 0, max: 1, target: 4, cool_down_s: 0.5, hold_s: 60}
"""
STEPS = """\
kind: service
name: stepwise
model: digits
rollout: {canary: {steps: [50%], every_s: 1, requests: 10, by: request, latency: 1000}}
"""


def asked(hall: RealHall, service: str, png: bytes, *headers: tuple[str, str]) -> httpx.Response:
    with hall.client as client:
        return httpx.post(
            f"{hall.addresses['gateway']}/v2/models/{service}/infer", json=image_request(png), timeout=90,
            headers={**client.headers, **dict(headers)}, verify=client.tls, trust_env=False,
        )  # fmt: skip


def test_a_service_that_rests_answers_its_first_request_when_a_replica_is_up(
    hall: RealHall, picture: bytes
) -> None:
    assert hall.apply(RESTING, "--wait", file="resting.yaml").code == 0
    try:
        until(lambda: not hall.get("service", "resting").status.replicas, "a service that rests")
        assert asked(hall, "resting", picture).status_code == 200
        assert len(hall.get("service", "resting").status.ready) == 1
    finally:
        hall.command("delete", "service", "resting")


def test_another_release_comes_into_use_step_by_step_and_no_request_is_lost(
    hall: RealHall, picture: bytes
) -> None:
    assert hall.apply(STEPS, "--wait", file="stepwise.yaml").code == 0
    assert hall.apply(f"{STEPS}batching: {{max_size: 4}}\n", file="stepwise.yaml").code == 0
    answers = Counter[tuple[int, str]]()

    def has_taken_over() -> bool:
        answer = asked(hall, "stepwise", picture)
        answers[answer.status_code, answer.headers["x-hall-version"]] += 1
        status = hall.get("service", "stepwise").status
        taken = status.release.order["batching"]["max_size"] == 4
        return taken and status.state == "ready" and len(status.replicas) == 1

    try:
        until(has_taken_over, "the other release")
        assert set(answers) == {(200, "stepwise@1")}
        with hall.client as client:
            told = [event["event"] for event in client.events(Key("service", "default", "stepwise"))]
        assert [event for event in told if event.startswith("rollout.")] == [
            f"rollout.{event}" for event in ("starting", "stepping", "finished")
        ]
        shown = json.loads(hall.command("rollout", "stepwise", "-o", "json").out)
        assert (shown["progress"], shown["sides"][0]["name"]) == (None, "stepwise@1")
        nowhere = asked(hall, "stepwise", picture, ("x-hall-version", "stepwise@9"))
        assert (nowhere.status_code, "no replica of version '9'" in nowhere.json()["error"]) == (404, True)
        refused = hall.command("rollout", "stepwise", "promote")
        assert "no release of service stepwise is on its way" in refused.err
    finally:
        hall.command("delete", "service", "stepwise")
