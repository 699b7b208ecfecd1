"""Machines that join, take what there is to do, and are lost."""

from __future__ import annotations

import base64
import os
import threading
from collections import Counter
from collections.abc import Callable

import httpx
import pytest
from real_hall import DATASET, MODEL, RealHall, all_end, image_request, processes_in, said, until
from real_node import RealNode

from modelhall.core.kinds import AnyResource

pytestmark = pytest.mark.e2e

TOGETHER = MODEL.replace("epochs: 2", "epochs: 4") + "resources: {cpus: 0.5, workers: 2}\n"
PATIENCE_S = 250.0
COUNTS = """
n=$(cat ../state/n 2>/dev/null || echo 0)
while [ $n -lt 100000 ]; do
  n=$((n + 1)); echo $n; echo $n > ../state/.n; mv ../state/.n ../state/n; sleep 0.2
  [ -e ../2 ] && [ $n -gt 5 ] && exit 0
done
"""
SERVICE = "kind: service\nname: digits\nmodel: digits\nreplicas: %d\n"


def training(hall: RealHall, project: str) -> AnyResource | None:
    """The only one there, once there is one."""
    return next((run for run in hall.runs("train") if run.key.project == project), None)


def trained(hall: RealHall, project: str) -> AnyResource:
    """The same, once it is over."""

    def over() -> AnyResource | None:
        run = training(hall, project)
        return run if run is not None and run.status.state == "succeeded" else None

    return until(over, f"the training in {project}", deadline_s=PATIENCE_S)


@pytest.mark.skipif(
    "MODELHALL_TORTURE" not in os.environ, reason="takes a minute or two; `make torture` does it"
)
def test_a_command_goes_on_elsewhere_from_what_it_had_brought_when_its_node_is_lost(
    new_hall: Callable[[], RealHall], join: Callable[[RealHall, str], RealNode]
) -> None:
    hall = new_hall()
    nodes = {name: join(hall, name) for name in ("a1", "a2")}
    assert hall.command("run", "--name", "count", "-d", "--", "sh", "-c", COUNTS).code == 0

    def brought() -> AnyResource | None:
        """The run, once what it left so far is at the hall."""
        run = hall.get("run", "count")
        kept = hall.home / "runs" / run.uid / "state" / "n"
        return run if kept.exists() and int(kept.read_text() or 0) >= 3 else None

    run = until(brought, "a count of three at the hall", deadline_s=PATIENCE_S)
    assert run.status.node == "a1"
    first = hall.command("logs", "count", "--attempt", "1").out.split()
    assert first[:3] == ["1", "2", "3"], "logs come from the node"
    nodes["a1"].kill()
    until(
        lambda: hall.get("run", "count").status.node == "a2", "the run on another node", deadline_s=PATIENCE_S
    )
    until(lambda: hall.get("run", "count").status.state == "succeeded", "its end", deadline_s=PATIENCE_S)
    second = [int(word) for word in hall.command("logs", "count").out.split()]
    assert second[0] > 3, "it went on from there"
    assert second == list(range(second[0], second[-1] + 1))
    nodes["a1"].again()
    until(lambda: hall.get("node", "a1").status.state == "ready", "a1 to be back", deadline_s=PATIENCE_S)
    assert hall.get("run", "count").status.state == "succeeded"


def test_a_training_by_two_workers_outlives_its_node_and_ends_with_the_same_bits(
    new_hall: Callable[[], RealHall], join: Callable[[RealHall, str], RealNode]
) -> None:
    hall = new_hall()
    # Nodes are looked at in the order of their names, so these come before the hall's own.
    nodes = {name: join(hall, name) for name in ("a1", "a2")}
    story = DATASET + "---\n" + TOGETHER
    unbroken = story.replace("name: digits\n", "name: digits\nproject: unbroken\n")
    assert hall.apply("kind: project\nname: unbroken\n---\n" + unbroken).code == 0
    wanted = trained(hall, "unbroken").status.result["artifact"]
    assert hall.apply(story).code == 0

    def with_checkpoint() -> AnyResource | None:
        """The training, once some of its state has been brought from a node to the hall."""
        run = training(hall, "default")
        if run is None or run.status.node not in nodes:
            return None
        return run if list((hall.home / "runs" / run.uid / "state").glob("step-*.json")) else None

    run = until(with_checkpoint, "a checkpoint of a training on a node", deadline_s=PATIENCE_S)
    nodes[run.status.node].kill()
    done = trained(hall, "default")
    assert done.status.attempts[0].node == run.status.node
    assert done.status.attempts[-1].node != run.status.node
    assert done.status.result["artifact"] == wanted
    kept = hall.home / "runs" / run.uid / "state"
    assert not list(kept.glob("step-*")), "once there is a result, there is no checkpoint any more"


@pytest.mark.skipif(
    "MODELHALL_TORTURE" not in os.environ, reason="takes a minute or two; `make torture` does it"
)
def test_a_service_answers_while_a_node_of_its_replicas_dies_and_comes_back(
    new_hall: Callable[[], RealHall], join: Callable[[RealHall, str], RealNode]
) -> None:
    hall = new_hall()
    assert hall.apply(DATASET + "---\n" + MODEL, "--wait").code == 0
    with hall.client as client:
        picture = base64.b64decode(client.rows("digits", split="test", limit=1)[0]["image"])
    first, second = join(hall, "a1"), join(hall, "a2")
    assert hall.apply(SERVICE % 1, "--wait", file="one.yaml").code == 0
    assert said(["node", "cordon", "a1", "--home", str(hall.home)]).code == 0
    until(lambda: hall.get("node", "a1").status.state == "cordoned", "a1 to be cordoned")
    assert hall.apply(SERVICE % 2, "--wait", file="two.yaml").code == 0
    assert {run.status.node for run in hall.runs("serve")} == {"a1", "a2"}
    answers, over = Counter[int](), threading.Event()

    def keep_asking() -> None:
        with hall.client as client:
            url = f"{hall.addresses['gateway']}/v2/models/digits/infer"
            while not over.is_set():
                answer = httpx.post(url, json=image_request(picture), headers=client.headers, timeout=60)
                answers[answer.status_code] += 1

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        until(lambda: answers[200] > 20, "answers")
        first.kill()
        until(lambda: hall.get("node", "a1").status.state == "lost", "a1 to be lost")
        until(lambda: len(hall.get("service", "digits").status.ready) == 2, "two replicas again")
    finally:
        over.set()
        asking.join()
    assert set(answers) == {200}, "nobody was told of it"
    assert {run.status.node for run in hall.runs("serve")} <= {"a2", "local"}
    first.again()
    until(lambda: hall.get("node", "a1").status.state == "cordoned", "a1 to be back")
    assert not [one for one in processes_in(first.home) if "modelhall.serving" in one.cmdline()]
    second.kill()
    all_end(second.home)
