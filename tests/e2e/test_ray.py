"""A real hall on a real Ray cluster: its nodes take what there is to do, and are lost."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from digits import PATIENCE_S, SERVICE, TOGETHER, keep_asking, trained, with_checkpoint
from real_hall import DATASET, MODEL, RealHall, processes_in, said, until

from modelhall.core.kinds import AnyResource
from real_ray import RealRay

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        "MODELHALL_TORTURE" not in os.environ, reason="takes a minute or two; `make torture` does it"
    ),
]
POSTED = "modelhall.doors.agent.posted"
COUNTS = "n=0; while [ ! -e ../state/enough ]; do n=$((n+1)); echo $n; sleep 0.2; done"


@pytest.fixture
def ray() -> Iterator[RealRay]:
    """A cluster of a head alone."""
    cluster = RealRay()
    try:
        yield cluster.start()
    finally:
        cluster.end()


@pytest.fixture
def hall_on(
    tmp_path: Path, ray: RealRay, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., RealHall]]:
    """Starts a hall to which these nodes of the cluster belong."""
    started: list[RealHall] = []

    def start(*names: str, address: str = ray.address) -> RealHall:
        for name in names:
            ray.add(name)
        for name, value in ray.variables.items():
            monkeypatch.setenv(name, value)
        hall = RealHall(tmp_path / "home")
        started.append(hall)
        hall.home.mkdir()
        (hall.home / "hall.toml").write_text(f'ray = "{address}"\n')
        hall.up()
        for name in names:
            until(lambda name=name: is_ready(hall, name), f"node {name}", deadline_s=PATIENCE_S)  # type: ignore[misc]
        return hall

    try:
        yield start
    finally:
        for hall in started:
            hall.end()


def state(hall: RealHall, name: str) -> str:
    found = [node for node in hall.all("node") if node.key.name == f"ray-{name}"]
    return str(found[0].status.state) if found else ""


def is_ready(hall: RealHall, name: str) -> bool:
    return state(hall, name) == "ready"


def keep_off(hall: RealHall, node: str = "local") -> None:
    """Have nothing new be started on a node."""
    assert said(["node", "cordon", node, "--home", str(hall.home)]).code == 0
    until(lambda: hall.get("node", node).status.state == "cordoned", f"{node} to be cordoned")


def at_work(hall: RealHall, run: str) -> AnyResource | None:
    """A run that has said something."""
    found = hall.get("run", run)
    is_counting = found.status.state == "running" and hall.command("logs", run).out
    return found if is_counting else None


def test_a_command_runs_on_a_node_of_ray_until_the_node_is_stopped_and_then_elsewhere(
    hall_on: Callable[..., RealHall], ray: RealRay
) -> None:
    hall = hall_on("w1")
    keep_off(hall)
    assert hall.command("run", "--name", "count", "-d", "--", "sh", "-c", COUNTS).code == 0
    run = until(lambda: at_work(hall, "count"), "the run at work", deadline_s=PATIENCE_S)
    assert run.status.node == "ray-w1"
    assert said(["node", "uncordon", "local", "--home", str(hall.home)]).code == 0
    ray.stop("w1")
    until(lambda: state(hall, "w1") == "lost", "the node to be lost", deadline_s=PATIENCE_S)
    until(lambda: not processes_in(ray.home("w1")), "the end of what ran there", deadline_s=PATIENCE_S)
    until(lambda: hall.get("run", "count").status.node == "local", "the run at home", deadline_s=PATIENCE_S)
    at_home = hall.folder(run).parent / "state"
    at_home.mkdir(parents=True, exist_ok=True)
    (at_home / "enough").touch()
    until(lambda: hall.get("run", "count").status.state == "succeeded", "its end", deadline_s=PATIENCE_S)


def test_a_training_by_two_workers_outlives_its_node_of_ray_and_ends_with_the_same_bits(
    hall_on: Callable[..., RealHall], ray: RealRay
) -> None:
    hall = hall_on("w1", "w2")
    story = DATASET + "---\n" + TOGETHER
    unbroken = story.replace("name: digits\n", "name: digits\nproject: unbroken\n")
    assert hall.apply("kind: project\nname: unbroken\n---\n" + unbroken).code == 0
    wanted = trained(hall, "unbroken").status.result["artifact"]
    assert hall.apply(DATASET, "--wait").code == 0
    keep_off(hall)
    assert hall.apply(story).code == 0
    run = with_checkpoint(hall, {"ray-w1", "ray-w2"})
    ray.kill(run.status.node.removeprefix("ray-"))
    done = trained(hall, "default")
    assert {done.status.attempts[0].node, done.status.attempts[-1].node} == {"ray-w1", "ray-w2"}
    assert done.status.result["artifact"] == wanted


def test_a_service_answers_while_a_node_of_ray_dies_and_comes_back(
    hall_on: Callable[..., RealHall], ray: RealRay
) -> None:
    hall = hall_on("w1", "w2")
    assert hall.apply(DATASET + "---\n" + MODEL, "--wait").code == 0
    with hall.client as client:
        picture = base64.b64decode(client.rows("digits", split="test", limit=1)[0]["image"])
    keep_off(hall)
    keep_off(hall, "ray-w2")
    assert hall.apply(SERVICE % 1, "--wait", file="one.yaml").code == 0
    assert said(["node", "uncordon", "ray-w2", "--home", str(hall.home)]).code == 0
    keep_off(hall, "ray-w1")
    assert hall.apply(SERVICE % 2, "--wait", file="two.yaml").code == 0
    assert {run.status.node for run in hall.runs("serve")} == {"ray-w1", "ray-w2"}
    with keep_asking(hall, picture) as answers:
        until(lambda: answers[200] > 20, "answers")
        ray.kill("w1")
        until(lambda: state(hall, "w1") == "lost", "w1 to be lost", deadline_s=PATIENCE_S)
        until(lambda: len(hall.get("service", "digits").status.ready) == 2, "two replicas again")
    assert set(answers) == {200}, "nobody was told of it"
    ray.add("w1")
    until(lambda: state(hall, "w1") == "cordoned", "w1 to be back", deadline_s=PATIENCE_S)


def test_what_runs_on_a_node_of_ray_outlives_the_hall_its_connection_and_its_agent(
    hall_on: Callable[..., RealHall], ray: RealRay
) -> None:
    """And the hall is reached by Ray's client, at another port each time."""
    address = f"ray://127.0.0.2:{ray.client_port}"
    hall = hall_on("w1", address=address)
    keep_off(hall)
    assert hall.command("run", "--name", "count", "-d", "--", "sh", "-c", COUNTS).code == 0
    run = until(lambda: at_work(hall, "count"), "the run at work", deadline_s=PATIENCE_S)
    (child,) = ray.home("w1").rglob(f"{run.uid}/1/child.json")
    program = json.loads(child.read_text())["pid"]
    (agent,) = (one for one in ray.processes("w1") if POSTED in one.cmdline())
    (connection,) = (
        one for one in psutil.process_iter(["cmdline"]) if address in (one.info["cmdline"] or ())
    )
    for process in (agent, connection):
        process.kill()
    hall.kill()
    hall.up()
    until(lambda: is_ready(hall, "w1"), "the node to be back", deadline_s=PATIENCE_S)
    (child.parent.parent / "state" / "enough").touch()
    until(lambda: hall.get("run", "count").status.state == "succeeded", "its end", deadline_s=PATIENCE_S)
    assert [one.number for one in hall.get("run", "count").status.attempts] == [1], (
        "it was never started again"
    )
    assert not Path(f"/proc/{program}").exists()


def test_a_cluster_that_is_gone_and_comes_back_goes_on_with_its_runs(
    hall_on: Callable[..., RealHall], ray: RealRay
) -> None:
    hall = hall_on("w1")
    keep_off(hall)
    assert hall.command("run", "--name", "count", "-d", "--", "sh", "-c", COUNTS).code == 0
    run = until(lambda: at_work(hall, "count"), "the run at work", deadline_s=PATIENCE_S)
    for name in ("w1", "head"):
        ray.kill(name)
    until(lambda: state(hall, "w1") == "lost", "the node to be lost", deadline_s=PATIENCE_S)
    assert hall.get("run", "count").status.state == "queued"
    ray.start().add("w1")
    until(lambda: is_ready(hall, "w1"), "the node to be back", deadline_s=PATIENCE_S)
    again = until(lambda: at_work(hall, "count"), "the run at work again", deadline_s=PATIENCE_S)
    assert (again.status.node, again.status.attempt > run.status.attempt) == ("ray-w1", True)
