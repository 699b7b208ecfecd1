"""The process that speaks with Ray for one hall: `python -m modelhall.adapters.launcher.ray.connection ADDRESS HALL`.

It reads what is to be done from its standard input, a line each, and answers in lines (`cluster.py`). A driver of Ray
ends when it loses its cluster, and takes in pickles of whoever is in it; so it is a process of its own, which has
nothing of the hall's. It keeps nothing: actors and placement groups are found again by their names.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import ray
from ray.exceptions import RayError
from ray.util.placement_group import (
    PlacementGroup,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from modelhall.adapters.launcher.ray.actors import AgentKeeper, Holder
from modelhall.adapters.launcher.ray.cluster import (
    Agent,
    Answer,
    Asked,
    Done,
    Held,
    Look,
    Post,
    RayNode,
    Release,
    Reserve,
    Reserved,
    Sight,
)
from modelhall.version import __version__

log = logging.getLogger(__name__)

AT_ONCE = 32
TELL_WITHIN_S = 5.0
"""A node whose actor takes longer to answer is not asked for more at this look."""
POST_WITHIN_S = 180.0
"""A process is started there, and Ray may have to start one of its own before."""
ROOM_WITHIN_S = 5.0
NODE_ID = "ray.io/node-id"


class Connection:
    """One hall's part of a cluster."""

    def __init__(self, address: str, hall: str) -> None:
        """Raises ConnectionError and other errors of Ray."""
        self._hall = hall
        self._keepers: dict[str, Any] = {}
        """Handles of actors, by the ids of their nodes."""
        self._reserving = threading.Lock()
        ray.init(address=address, namespace=hall, log_to_driver=False, logging_level="error")

    def do(self, what: Look | Post | Reserve | Release) -> Sight | Reserved | Done:
        match what:
            case Look():
                return self.look()
            case Post():
                return self.post(what)
            case Reserve():
                with self._reserving:
                    return self.reserve(what)
            case Release(name=name):
                return self.release(name)

    def look(self) -> Sight:
        """The nodes that are alive, and what this hall holds of them."""
        alive = [node for node in ray.nodes() if node["Alive"]]
        agents = self._agents([node["NodeID"] for node in alive])
        nodes = (
            RayNode(
                id=node["NodeID"],
                name=node["NodeName"],
                address=node["NodeManagerAddress"],
                resources=node["Resources"],
                labels=node.get("Labels", {}),
                agent=agents.get(node["NodeID"]),
            )
            for node in alive
        )
        # What is held is asked for after what is available: what is reserved in between passes for nobody's.
        return Sight(nodes=tuple(nodes), held=self._held())

    def post(self, what: Post) -> Done:
        """Raises RayError when the actor cannot be, such as where there is no Modelhall."""
        where = NodeAffinitySchedulingStrategy(what.node_id, soft=False)
        keeper = self._keepers[what.node_id] = (
            ray.remote(AgentKeeper)
            .options(
                name=_keeper_name(what.node_id), lifetime="detached", get_if_exists=True, num_cpus=0,
                scheduling_strategy=where,
            )
            .remote()
        )  # fmt: skip
        ray.get(keeper.post.remote(what.posting.model_dump_json(), __version__), timeout=POST_WITHIN_S)
        return Done()

    def reserve(self, what: Reserve) -> Reserved:
        """Hold it as soon as there is room; there is none when it does not come soon."""
        group = self._found(what.name) or placement_group(
            [what.amounts], name=self._named(what.name), lifetime="detached",
            bundle_label_selector=[{NODE_ID: what.node_id}],
        )  # fmt: skip
        if not group.wait(ROOM_WITHIN_S):
            remove_placement_group(group)
            return Reserved(has_room=False)
        return Reserved(has_room=True, gpus=self._gpus(group, what))

    def release(self, name: str) -> Done:
        group = self._found(name)
        if group is not None:
            remove_placement_group(group)
        return Done()

    def _agents(self, node_ids: list[str]) -> dict[str, Agent]:
        """What actors tell, those that are there and answer in time."""
        asked = {}
        for id in node_ids:
            with contextlib.suppress(ValueError):
                self._keepers[id] = self._keepers.get(id) or ray.get_actor(_keeper_name(id))
                asked[self._keepers[id].tell.remote()] = id
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=TELL_WITHIN_S) if asked else ([], [])
        told = {}
        for answer in ready:
            try:
                told[asked[answer]] = Agent.model_validate_json(ray.get(answer))
            except (RayError, ValueError) as error:
                log.warning("ray.untold node=%s reason=%s", asked[answer], _words(error))
                del self._keepers[asked[answer]]
        return told

    def _held(self) -> tuple[Held, ...]:
        groups = placement_group_table().values()
        return tuple(
            Held(
                name=group["name"].removeprefix(self._named("")),
                node_id=next(iter(group["bundles_to_node_id"].values()), None) or "",
                amounts=next(iter(group["bundles"].values())),
            )
            for group in groups
            if group["name"].startswith(self._named("")) and group["state"] != "REMOVED"
        )

    def _gpus(self, group: PlacementGroup, what: Reserve) -> tuple[str, ...]:
        if not (count := what.amounts.get("GPU")):
            return ()
        where = PlacementGroupSchedulingStrategy(group)
        options = ray.remote(Holder).options(
            name=what.name, lifetime="detached", get_if_exists=True, num_cpus=0, num_gpus=count,
            scheduling_strategy=where,
        )  # fmt: skip
        return tuple(ray.get(options.remote().gpus.remote(), timeout=POST_WITHIN_S))

    def _found(self, name: str) -> PlacementGroup | None:
        try:
            return get_placement_group(self._named(name))
        except ValueError:
            return None

    def _named(self, name: str) -> str:
        """Names of placement groups are told apart by their halls, so that one table can be read by all."""
        return f"{self._hall}/{name}"


def main() -> None:
    address, hall = sys.argv[1:]
    # Ray, too, prints; what answers is kept apart.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    said = threading.Lock()
    connection = Connection(address, hall)
    threads = ThreadPoolExecutor(AT_ONCE)
    for line in sys.stdin.buffer:
        threads.submit(_answer, connection, Asked.model_validate_json(line), answers, said)
    # The hall is gone. What Ray has not answered by now, nobody waits for.
    os._exit(0)


def _answer(connection: Connection, asked: Asked, answers: BinaryIO, said: threading.Lock) -> None:
    try:
        answer = Answer(number=asked.number, said=connection.do(asked.what))
    except Exception as error:  # noqa: BLE001 - whatever it came to, the hall waits to hear of it
        answer = Answer(number=asked.number, problem=_words(error))
    with said:
        answers.write(answer.model_dump_json().encode() + b"\n")


def _words(error: Exception) -> str:
    """What Ray says, without the traces of its own insides."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__


def _keeper_name(node_id: str) -> str:
    return f"agent-{node_id}"


if __name__ == "__main__":
    main()
