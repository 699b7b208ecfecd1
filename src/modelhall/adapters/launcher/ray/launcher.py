"""The launcher port over the nodes of a Ray cluster.

An attempt is started in two steps: Ray holds for it what it takes, then the agent of its node is told; nobody waits
for Ray, which may take its time, and until then the attempt counts as alive. What is held is given back when the
attempt is over; by its name it is found again by a hall that starts anew. The cluster is looked at while somebody
asks for its nodes, so by the control plane that leads and by no other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from modelhall.adapters.launcher.agent import AgentLauncher
from modelhall.adapters.launcher.ray.cluster import (
    PREFIX,
    Held,
    Look,
    Post,
    RayNode,
    Release,
    Reserve,
    Reserved,
    Sight,
    others_hold,
)
from modelhall.adapters.launcher.ray.line import Line
from modelhall.adapters.launcher.supervision.epoch import Fence
from modelhall.core.errors import HallError, NotNow
from modelhall.core.kinds.run import Exit
from modelhall.core.node_line import Beat, Errands, Posting
from modelhall.core.ports.launcher import AttemptId, Launch, LogPart, NodeReport, Observation, Taken

log = logging.getLogger(__name__)

NAME = "ray"
LOOK_EVERY_S = 1.0
LOOK_WITHIN_S = 120.0
"""The first look waits for a process that has to find the cluster."""
STALE_S = 10.0
"""What was seen longer ago says nothing about now."""
ASK_WITHIN_S = 200.0
"""Ray may have to start a process on a node first, and a busy node takes its time."""
POST_AGAIN_S = 30.0
RETRY_S = 2.0
CPU, MEMORY, GPU = "CPU", "memory", "GPU"
"""Ray's names of what programs take."""
WHOLE = 1000
"""A GPU is told in thousandths."""


class Postings(Protocol):
    """What agents are told that are put on nodes."""

    @property
    def hall(self) -> str:
        """Where they dial in, now."""
        ...

    async def make(self, node: str, address: str) -> Posting:
        """For the agent of a node; what was made for it before is good no more."""
        ...


class RayLauncher:
    """Programs on the nodes of one cluster."""

    def __init__(
        self,
        folder: Path,
        *,
        agents: AgentLauncher,
        line: Line,
        postings: Postings,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`agents` are those on the nodes of the cluster, and no others; its fence is in `folder`, too."""
        self._fence = Fence(folder)
        self._agents = agents
        self._line = line
        self._postings = postings
        self._now = now
        self._monotonic = monotonic
        self._sight: Sight | None = None
        self._seen_at = float("-inf")
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._problem = f"Ray at {line.address} has not answered yet"
        """Why nothing is seen of the cluster."""
        self._known: set[str] = set()
        """Names of the nodes that have ever been seen alive."""
        self._refused: dict[str, str] = {}
        """Why there is no agent on a node, by its name."""
        self._posting: dict[str, asyncio.Task[None]] = {}
        """By the ids of the nodes that an agent is being put on, or has just been."""
        self._starting: dict[AttemptId, asyncio.Task[None]] = {}
        self._turned_away: dict[AttemptId, Observation] = {}

    def has(self, node: str) -> bool:
        """Whether a node is one of the cluster's, by its name."""
        return node.startswith(PREFIX)

    async def hear(self, node: str, beat: Beat) -> Errands:
        """What the agent of a node says; raises as `AgentLauncher.hear` does."""
        return await self._agents.hear(node, beat)

    async def start(self, launch: Launch) -> None:
        """Raises NotNow, too, when Ray has no such node now. An attempt for which it has no room any more, as others
        were faster, is over before it began."""
        await asyncio.to_thread(self._pass_fence, launch.epoch)
        node = self._node(launch)
        seen = (await self.observe([launch.id])).get(launch.id)
        if seen is not None and seen.alive is not None:
            return
        self._starting[launch.id] = asyncio.create_task(self._begin(launch, node.id))

    async def fence(self, epoch: int) -> None:
        await self._agents.fence(epoch)

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        known = {id: Observation(alive=True) for id in ids if id in self._starting}
        known |= {id: self._turned_away[id] for id in ids if id in self._turned_away}
        return await self._agents.observe([id for id in ids if id not in known]) | known

    async def taken(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Taken]:
        return await self._agents.taken(ids)

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        begins = self._starting.get(id)
        if begins is None:
            await self._agents.stop(id, grace_s)
            return
        begins.cancel()
        self._turn_away(id)

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> LogPart:
        return await self._agents.log(id, offset, limit)

    async def forget(self, run_uid: str) -> None:
        self._turned_away = {id: seen for id, seen in self._turned_away.items() if id.run_uid != run_uid}
        await self._agents.forget(run_uid)

    async def nodes(self) -> list[NodeReport]:
        """The nodes that Ray calls alive and whose agents are heard, with what others in the cluster leave of them;
        and those that Ray calls dead, or that cannot have an agent, as gone. While Ray cannot be reached, those that
        are heard go on, and nothing new is started on them."""
        self._look_if_due()
        heard = {node.name: replace(node, launcher=NAME) for node in await self._agents.nodes()}
        if self._sight is None or self._monotonic() - self._seen_at > STALE_S:
            return [replace(node, unfit=self._problem) for node in heard.values()]
        alive = _by_name(self._sight.nodes)
        self._known |= alive.keys()
        return [
            *(_offered(heard[name], node, self._sight.held) for name, node in alive.items() if name in heard),
            *(_gone(name, why) for name, why in self._refused.items() if name not in heard),
            *(_gone(name, "Ray says that the node is dead") for name in self._known - alive.keys()),
        ]

    def _look_if_due(self) -> None:
        now = self._monotonic()
        if now - self._looked_at >= LOOK_EVERY_S and (self._looking is None or self._looking.done()):
            self._looked_at = now
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            sight = await self._line.ask(Look(), LOOK_WITHIN_S)
        except NotNow as error:
            self._problem = error.message
            log.warning("ray.unseen reason=%s", error)
            # Whatever is the matter with it, a process that begins anew has the best chance to find the cluster.
            self._line.hang_up()
            return
        assert isinstance(sight, Sight)
        self._sight, self._seen_at = sight, self._monotonic()
        self._problem = f"Ray at {self._line.address} has not answered for a while"
        await self._have_agents(sight)
        await self._give_back(sight)

    async def _have_agents(self, sight: Sight) -> None:
        heard = {node.name for node in await self._agents.nodes()}
        alive = _by_name(sight.nodes)
        self._refused = {name: why for name, why in self._refused.items() if name in alive.keys() - heard}
        for name, node in alive.items():
            if self._needs_agent(node, heard) and node.id not in self._posting:
                self._posting[node.id] = asyncio.create_task(self._have_agent(name, node))

    def _needs_agent(self, node: RayNode, heard: Container[str]) -> bool:
        """Whether there is none on a node, or one that dials in where the hall is not any more."""
        if node.agent is None:
            return node.called not in heard
        return not node.agent.works or node.agent.hall != self._postings.hall

    async def _have_agent(self, name: str, node: RayNode) -> None:
        """Put an agent on a node, and leave it some time to be heard of."""
        try:
            posting = await self._postings.make(name, node.address)
            await self._line.ask(Post(node_id=node.id, posting=posting), ASK_WITHIN_S)
        except (HallError, OSError) as error:
            self._refused[name] = f"no agent on it: {error}"
            log.warning("ray.no-agent node=%s reason=%s", name, error)
        finally:
            await asyncio.sleep(POST_AGAIN_S)
            del self._posting[node.id]

    async def _give_back(self, sight: Sight) -> None:
        for held in sight.held:
            if await self._is_over(held, sight.nodes):
                try:
                    await self._line.ask(Release(name=held.name), ASK_WITHIN_S)
                except NotNow as error:
                    log.warning("ray.not-given-back name=%s reason=%s", held.name, error)

    async def _is_over(self, held: Held, nodes: Sequence[RayNode]) -> bool:
        """Whether nothing needs any more what is held: its attempt is over, or its node is."""
        run_uid, _, number = held.name.rpartition("/")
        node = next((node for node in nodes if node.id == held.node_id), None)
        if not number.isdecimal():
            return False
        id = AttemptId(run_uid, int(number), node.called if node is not None else "")
        if id in self._starting:
            return False
        seen = await self._agents.observe([id])
        return node is None or (id in seen and not seen[id].alive)

    def _node(self, launch: Launch) -> RayNode:
        node = _by_name(self._sight.nodes).get(launch.node) if self._sight is not None else None
        if node is None:
            raise NotNow(
                f"run {launch.run!r} cannot be started: Ray has no node {launch.node} now; tried again",
                delay_s=RETRY_S,
            )
        return node

    async def _begin(self, launch: Launch, node_id: str) -> None:
        """Hold what an attempt takes, and have it started. When that comes to nothing, nothing is known of it, and
        whoever wants it asks again."""
        try:
            gpus: Sequence[str] = ()
            if amounts := _amounts(launch):
                what = Reserve(name=_held_name(launch.id), node_id=node_id, amounts=amounts)
                reserved = await self._line.ask(what, ASK_WITHIN_S)
                assert isinstance(reserved, Reserved)
                if not reserved.has_room:
                    log.warning("ray.no-room run=%s node=%s amounts=%s", launch.run, launch.node, amounts)
                    self._turn_away(launch.id)
                    return
                gpus = reserved.gpus
            await self._agents.start(_on(launch, gpus))
        except HallError as error:
            log.warning("ray.not-started run=%s reason=%s", launch.run, error)
        finally:
            del self._starting[launch.id]

    def _turn_away(self, id: AttemptId) -> None:
        """Have an attempt be over before it began, which is no failure of its run's."""
        exit = Exit(ended_at=self._now(), stopped=True)
        self._turned_away[id] = Observation(alive=False, exit=exit)

    def _pass_fence(self, epoch: int) -> None:
        with self._fence.passing(epoch):
            pass


def _by_name(nodes: Iterable[RayNode]) -> dict[str, RayNode]:
    """Those that programs may run on. Of several with one name, one that is at work already comes first."""
    may_run = [node for node in nodes if node.resources.get(CPU)]
    order = sorted(may_run, key=lambda node: (node.agent is not None and node.agent.works, node.id))
    return {node.called: node for node in order}


def _amounts(launch: Launch) -> dict[str, float]:
    """What an attempt takes, in Ray's words."""
    gpus = sum(share for _, share in launch.gpus) / WHOLE
    amounts = {CPU: launch.cpus, MEMORY: float(launch.memory_bytes or 0), GPU: gpus}
    return {name: amount for name, amount in amounts.items() if amount > 0}


def _on(launch: Launch, gpus: Sequence[str]) -> Launch:
    """The launch on the GPUs that Ray has given, which may be others than those that were free in the hall's eyes."""
    if not all(word.isdecimal() for word in gpus):
        raise NotNow(
            f"run {launch.run!r} cannot be started: Ray calls the GPUs of node {launch.node} {', '.join(gpus)}, and "
            "numbers are needed; start its Ray without CUDA_VISIBLE_DEVICES",
            delay_s=RETRY_S,
        )
    given = tuple((int(word), share) for word, (_, share) in zip(gpus, launch.gpus, strict=False))
    return replace(launch, gpus=given or launch.gpus)


def _offered(report: NodeReport, node: RayNode, held: tuple[Held, ...]) -> NodeReport:
    """What an agent says of its node, with what Ray counts there in place of what is there."""
    others = others_hold(node, held)
    left = {name: max(0.0, total - others.get(name, 0.0)) for name, total in node.resources.items()}
    return replace(
        report,
        cpus=round(left[CPU], 4),
        memory_bytes=int(left.get(MEMORY, 0.0)),
        gpus=int(left.get(GPU, 0.0)),
        gpu_type=node.gpu_type,
    )


def _gone(name: str, why: str) -> NodeReport:
    return NodeReport(
        name=name, cpus=0.0, memory_bytes=0, processor="", ready=False, launcher=NAME, unfit=why
    )


def _held_name(id: AttemptId) -> str:
    """What is held for an attempt is called so; `_is_over` reads it."""
    return f"{id.run_uid}/{id.number}"
