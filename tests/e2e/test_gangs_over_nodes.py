"""One training on several machines, of which any may be lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
import pytest
from real_hall import DATASET, MODEL, RealHall, processes_in, until
from real_node import RealNode

from modelhall.core.kinds import AnyResource

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        "MODELHALL_TORTURE" not in os.environ, reason="takes some minutes; `make torture` does it"
    ),
]

PATIENCE_S = 400.0
LONG = MODEL.replace("epochs: 2", "epochs: 40").replace("checkpoint_s: 0.1", "checkpoint_s: 0.5")
MORE_THAN_HALF = 0.75 * len(os.sched_getaffinity(0))
"""Of the processors here, which each node takes for its own: two such workers need two nodes."""


def told(workers: str, project: str) -> str:
    resources = f"resources: {{cpus: {MORE_THAN_HALF:g}, workers: {workers}}}\n"
    story = DATASET + "---\n" + LONG + resources
    return story.replace("name: digits\n", f"name: digits\nproject: {project}\n")


class Watched:
    """One training and what is lent to it."""

    def __init__(self, hall: RealHall, project: str) -> None:
        self._hall = hall
        self._project = project

    def find(self, program: str = "train") -> AnyResource | None:
        return next((run for run in self._hall.runs(program) if run.key.project == self._project), None)

    @property
    def training(self) -> AnyResource:
        found = self.find()
        assert found is not None
        return found

    @property
    def steps(self) -> float:
        progress = self.training.status.progress
        return progress.done if progress else 0.0

    def log_of(self, run: AnyResource) -> str:
        return self._hall.command("logs", run.key.name, "--project", self._project).out

    def wait(self, what: str, look: Callable[[], object]) -> None:
        def tell() -> object:
            run = self.find()
            if run is not None and run.status.state in ("failed", "succeeded"):
                assert look(), f"the training is over before {what}: {run.status.reason}"
            return run is not None and look()

        until(tell, what, deadline_s=PATIENCE_S, every_s=0.2)

    def wait_for_two(self, times: int) -> None:
        """Until the attempt that there is has had so many groups of two."""
        self.wait(
            f"group {times} of two",
            lambda: self.log_of(self.training).count("2 workers are at work, 1 of them lent") >= times,
        )

    def result(self) -> str:
        run = until(
            lambda: (run := self.find()) and run.status.state == "succeeded" and run,
            f"the end of the training in {self._project}",
            deadline_s=PATIENCE_S,
        )
        return str(run.status.result["artifact"])


def programs_of(node: RealNode) -> list[psutil.Process]:
    """The leader's program on a node, and its workers."""
    return [one for one in processes_in(node.home) if "modelhall.stages.train" in one.cmdline()]


def test_a_training_on_two_machines_outlives_each_of_them_and_ends_with_the_same_bits(
    new_hall: Callable[[], RealHall], join: Callable[[RealHall, str], RealNode]
) -> None:
    hall = new_hall()
    for project in ("whole", "split"):
        hall.apply(f"kind: project\nname: {project}\n", file=f"{project}.yaml")
    # While there is one node, on one: two shards by one worker.
    assert hall.apply(told("{min: 1, max: 2}", "whole")).code == 0
    wanted = Watched(hall, "whole").result()
    nodes = {name: join(hall, name) for name in ("a1", "a2")}
    gang = Watched(hall, "split")
    assert hall.apply(told("2", "split")).code == 0
    gang.wait_for_two(1)
    lent = gang.find("lend")
    assert lent is not None
    assert {gang.training.status.node, lent.status.node} == set(nodes)
    leading, lending = nodes[gang.training.status.node], nodes[lent.status.node]

    lending.kill()
    before = gang.steps
    gang.wait("a step without the other", lambda: gang.steps > before)
    for program in programs_of(leading):  # so that it is not over before another node is asked
        program.send_signal(signal.SIGSTOP)
    gang.wait(
        "another node to lend a worker",
        lambda: (run := gang.find("lend")) and run.status.node == "local" and run.status.state == "running",
    )
    for program in programs_of(leading):
        program.send_signal(signal.SIGCONT)
    gang.wait_for_two(2)
    assert gang.training.status.attempt == 1

    lending.again()
    kept = hall.home / "runs" / gang.training.uid / "state"
    gang.wait("a checkpoint at the hall", lambda: list(kept.glob("step-*.json")))
    leading.kill()
    gang.wait("another attempt", lambda: gang.training.status.attempt == 2)
    assert gang.result() == wanted
    assert gang.training.status.attempts[1].lent == 1
    assert not list(kept.glob("step-*"))
    until(lambda: gang.find("lend") is None, "the end of what was lent", deadline_s=PATIENCE_S)
