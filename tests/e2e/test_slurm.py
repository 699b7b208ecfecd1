"""A hall whose nodes are a Slurm cluster's: what Slurm takes away goes on elsewhere."""

from __future__ import annotations

import base64
import contextlib
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from digits import PATIENCE_S, SERVICE, trained, training
from real_hall import DATASET, MODEL, RealHall, image_request, processes_in, said, until

from modelhall.core.kinds import AnyResource

sys.path.append(str(Path(__file__).parents[1] / "contract"))

import real_slurm

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        "MODELHALL_TORTURE" not in os.environ, reason="takes a minute or two; `make torture` does it"
    ),
]

NODES = ("a1", "a2")
LONG = MODEL.replace("epochs: 2", "epochs: 6")
ON_SLURM = 'resources: {nodes: {cluster: "yes"}}\n'


class SlurmHall(RealHall):
    """A hall that starts nothing of its own but what has to be where its keys are."""

    def __init__(self, home: Path, cluster: real_slurm.RealSlurm) -> None:
        super().__init__(home)
        self.cluster = cluster
        home.mkdir()
        (home / "hall.toml").write_text(
            f'slurm_partitions = ["both"]\nslurm_conf = "{cluster.conf}"\nslurm_options = ["--quiet"]\n'
        )

    def lose(self, node: str) -> None:
        """Kill -9 all that runs on a node, at once; then have Slurm know."""
        lost = [
            process
            for run in self.all("run")
            if run.status.node == node
            for process in processes_in(self.folder(run, run.status.attempt))
        ]
        for process in lost:
            with contextlib.suppress(psutil.Error):
                process.suspend()
        for process in lost:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.cluster.lose(node)


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[SlurmHall]:
    with contextlib.ExitStack() as until_the_end:
        try:
            cluster = until_the_end.enter_context(real_slurm.running())
        except LookupError as error:
            pytest.skip(str(error))
        hall = SlurmHall(tmp_path / "home", cluster)
        until_the_end.callback(hall.end)
        hall.up()
        until(lambda: set(NODES) <= ready(hall), "Slurm's nodes to be the hall's")
        yield hall


def ready(hall: RealHall) -> set[str]:
    return {node.key.name for node in hall.all("node") if node.status.state == "ready"}


def further(hall: RealHall, attempt: int) -> AnyResource:
    """The training while its attempt of this number, at least, is on a node and has left a checkpoint."""

    def is_so() -> AnyResource | None:
        run = training(hall, "default")
        if run is None or run.status.attempt < attempt or run.status.node not in NODES:
            return None
        at_work = (hall.folder(run, run.status.attempt) / "child.json").exists()
        return run if at_work and list((hall.home / "runs" / run.uid / "state").glob("step-*.json")) else None

    return until(is_so, f"attempt {attempt} at work", deadline_s=PATIENCE_S)


def job_of(cluster: real_slurm.RealSlurm, run: AnyResource) -> str:
    """The number of the job of its newest attempt."""
    lines = [line.split() for line in cluster.ask("squeue", "-h", "-o", "%i %j").splitlines()]
    return next(id for id, name in lines if f".{run.uid}.{run.status.attempt}." in name)


def test_a_training_outlives_requeue_and_a_node_that_is_down_and_ends_with_the_same_bits(
    hall: SlurmHall,
) -> None:
    story = DATASET + "---\n" + LONG
    unbroken = story.replace("name: digits\n", "name: digits\nproject: unbroken\n")
    assert hall.apply("kind: project\nname: unbroken\n---\n" + unbroken).code == 0
    wanted = trained(hall, "unbroken").status.result["artifact"]
    for node in NODES:
        assert said(["node", "label", node, "cluster=yes", "--home", str(hall.home)]).code == 0
    assert hall.apply(story + ON_SLURM).code == 0
    run = further(hall, 1)
    hall.cluster.ask("scontrol", "requeue", job_of(hall.cluster, run))
    run = further(hall, run.status.attempt + 1)
    first = hall.get("run", run.key.name).status.attempts[0]
    assert first.exit is not None
    assert first.exit.stopped, "no failure of its own"
    hall.lose(run.status.node)
    done = trained(hall, "default")
    assert done.status.attempts[-1].number > run.status.attempt
    assert done.status.result["artifact"] == wanted
    lost = until(
        lambda: hall.get("node", run.status.node).status.state == "lost" or None, "the node to be lost"
    )
    assert lost
    assert "Slurm says down" in hall.get("node", run.status.node).status.reason


def test_a_service_answers_while_a_node_of_its_replicas_goes_down(hall: SlurmHall) -> None:
    assert hall.apply(DATASET + "---\n" + MODEL, "--wait").code == 0
    with hall.client as client:
        picture = base64.b64decode(client.rows("digits", split="test", limit=1)[0]["image"])
    cordon(hall, "local", "a2")
    assert hall.apply(SERVICE % 1, "--wait", file="one.yaml").code == 0
    cordon(hall, "a1")
    assert said(["node", "uncordon", "a2", "--home", str(hall.home)]).code == 0
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
        hall.lose("a1")
        until(lambda: hall.get("node", "a1").status.state == "lost", "a1 to be lost", deadline_s=PATIENCE_S)
        is_whole: Callable[[], bool] = lambda: len(hall.get("service", "digits").status.ready) == 2  # noqa: E731
        until(is_whole, "two replicas again", deadline_s=PATIENCE_S)
    finally:
        over.set()
        asking.join()
    assert set(answers) == {200}, "nobody was told of it"


def cordon(hall: RealHall, *nodes: str) -> None:
    for node in nodes:
        assert said(["node", "cordon", node, "--home", str(hall.home)]).code == 0
    until(lambda: not ready(hall) & set(nodes), "the nodes to be cordoned")
