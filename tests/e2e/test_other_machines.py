"""Machines that join, take what there is to do, and are lost."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

import pytest
from digits import PATIENCE_S, SERVICE, TOGETHER, keep_asking, trained, with_checkpoint
from real_hall import DATASET, MODEL, RealHall, all_end, processes_in, said, until
from real_node import RealNode

from modelhall.core.kinds import AnyResource

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        "MODELHALL_TORTURE" not in os.environ, reason="takes a minute or two; `make torture` does it"
    ),
]

COUNTS = """
n=$(cat ../state/n 2>/dev/null || echo 0)
while [ $n -lt 100000 ]; do
  n=$((n + 1)); echo $n; echo $n > ../state/.n; mv ../state/.n ../state/n; sleep 0.2
  [ -e ../2 ] && [ $n -gt 5 ] && exit 0
done
"""


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
    run = with_checkpoint(hall, nodes)
    nodes[run.status.node].kill()
    done = trained(hall, "default")
    assert done.status.attempts[0].node == run.status.node
    assert done.status.attempts[-1].node != run.status.node
    assert done.status.result["artifact"] == wanted
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
    with keep_asking(hall, picture) as answers:
        until(lambda: answers[200] > 20, "answers")
        first.kill()
        until(lambda: hall.get("node", "a1").status.state == "lost", "a1 to be lost")
        until(lambda: len(hall.get("service", "digits").status.ready) == 2, "two replicas again")
    assert set(answers) == {200}, "nobody was told of it"
    assert {run.status.node for run in hall.runs("serve")} <= {"a2", "local"}
    first.again()
    until(lambda: hall.get("node", "a1").status.state == "cordoned", "a1 to be back")
    assert not [one for one in processes_in(first.home) if "modelhall.serving" in one.cmdline()]
    second.kill()
    all_end(second.home)
