"""What the stories of lost machines share: digits learnt by two workers, and asked for all the time."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Container, Iterator

import httpx
from real_hall import MODEL, RealHall, image_request, until

from modelhall.core.kinds import AnyResource

TOGETHER = MODEL.replace("epochs: 2", "epochs: 4") + "resources: {cpus: 0.5, workers: 2}\n"
PATIENCE_S = 250.0
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


def with_checkpoint(hall: RealHall, nodes: Container[str]) -> AnyResource:
    """The training, once some of its state has been brought to the hall from one of these nodes."""

    def brought() -> AnyResource | None:
        run = training(hall, "default")
        if run is None or run.status.node not in nodes:
            return None
        return run if list((hall.home / "runs" / run.uid / "state").glob("step-*.json")) else None

    return until(brought, "a checkpoint of a training on a node", deadline_s=PATIENCE_S)


@contextlib.contextmanager
def keep_asking(hall: RealHall, picture: bytes) -> Iterator[Counter[int]]:
    """Ask the service one thing after the other; the answers so far, by their status."""
    answers, over = Counter[int](), threading.Event()

    def ask() -> None:
        with hall.client as client:
            url = f"{hall.addresses['gateway']}/v2/models/digits/infer"
            while not over.is_set():
                answer = httpx.post(
                    url, json=image_request(picture), headers=client.headers, verify=client.tls, timeout=60
                )
                answers[answer.status_code] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answers
    finally:
        over.set()
        asking.join()
