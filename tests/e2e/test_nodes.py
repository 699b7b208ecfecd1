"""Machines that join, take what there is to do, and are lost."""

from __future__ import annotations

import base64
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest
from real_hall import DATASET, MODEL, RealHall, all_end, image_request, processes_in, said, until
from real_node import RealNode

from modelhall.core.kinds import AnyResource

pytestmark = pytest.mark.e2e

TOGETHER = MODEL.replace("epochs: 2", "epochs: 4") + "resources: {cpus: 0.5, workers: 2}\n"
SERVICE = "kind: service\nname: digits\nmodel: digits\nreplicas: %d\n"


@pytest.fixture
def join() -> Iterator[Callable[[RealHall, str], RealNode]]:
    """Has machines join, and leaves nothing of them."""
    there: list[RealNode] = []

    def one(hall: RealHall, name: str) -> RealNode:
        there.append(RealNode(hall, name))
        return there[-1].join()

    yield one
    for node in there:
        node.kill()


def artifact(hall: RealHall, project: str) -> str:
    """Of the only version of the model there."""
    with hall.client as client:
        (found,) = client.get("model", project, "digits").status.versions
    return str(found.artifact)


def test_a_training_by_two_workers_outlives_its_node_and_ends_with_the_same_bits(
    new_hall: Callable[[], RealHall], join: Callable[[RealHall, str], RealNode]
) -> None:
    hall = new_hall()
    # Nodes are looked at in the order of their names, so these come before the hall's own.
    nodes = {name: join(hall, name) for name in ("a1", "a2")}
    story = DATASET + "---\n" + TOGETHER
    unbroken = story.replace("name: digits\n", "name: digits\nproject: unbroken\n")
    assert hall.apply("kind: project\nname: unbroken\n---\n" + unbroken, "--wait").code == 0
    assert hall.apply(story).code == 0

    def checkpoint() -> AnyResource | None:
        """The training, once some of its state has been brought to the hall."""
        for run in hall.runs("train"):
            if run.key.project != "default":
                continue
            found = list((hall.home / "runs" / run.uid / "state").glob("step-*.json"))
            if found and run.status.node in nodes:
                return run
        return None

    run = until(checkpoint, "a checkpoint of a training on a node")
    nodes[run.status.node].kill()
    hall.wait(("model", "digits"))
    (done,) = (one for one in hall.runs("train") if one.key.project == "default")
    first, last = done.status.attempts[0], done.status.attempts[-1]
    assert (first.node, done.status.state) == (run.status.node, "succeeded")
    assert last.node != first.node
    assert artifact(hall, "default") == artifact(hall, "unbroken")
    log = hall.command("logs", done.key.name).out
    assert "Traceback" not in log
    kept = hall.home / "runs" / run.uid / "state"
    assert not list(kept.glob("step-*")), "once there is a result, there is no checkpoint any more"


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
