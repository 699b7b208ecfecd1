"""Several launchers as one: whatever is asked about an attempt, its node's launcher is asked, and what the agent of a
node says, the launcher hears that talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from modelhall.core.errors import NotNow
from modelhall.core.node_line import Beat, Errands
from modelhall.core.ports.launcher import AttemptId, Launch, Launcher, LogPart, NodeReport, Observation, Taken

RETRY_S = 2.0

T = TypeVar("T")


class Hears(Protocol):
    """Whom agents dial in to."""

    async def hear(self, node: str, beat: Beat) -> Errands: ...


class Lines:
    """Agents of machines that have joined, and of nodes that are a cluster's."""

    def __init__(self, joined: Hears, cluster: Hears, is_clusters: Callable[[str], bool]) -> None:
        self._joined = joined
        self._cluster = cluster
        self._is_clusters = is_clusters

    async def hear(self, node: str, beat: Beat) -> Errands:
        return await (self._cluster if self._is_clusters(node) else self._joined).hear(node, beat)


class Launchers:
    """The launcher port over the launchers of a hall. Which nodes a launcher has, it says itself (`nodes`); a node
    that none has named since the hall started is out of reach."""

    def __init__(self, launchers: Mapping[str, Launcher], home: str) -> None:
        """`launchers` by their names; the node called `home` is of the first of them from the beginning. So is an
        attempt that was placed nowhere yet: of that one nothing is known, and it says so."""
        self._launchers = dict(launchers)
        at_home = next(iter(self._launchers.values()))
        self._of_node: dict[str, Launcher] = {home: at_home, "": at_home}

    async def start(self, launch: Launch) -> None:
        """Raises NotNow, too, while the node is out of reach."""
        await self._of(launch.node).start(launch)

    async def fence(self, epoch: int) -> None:
        for launcher in self._launchers.values():
            await launcher.fence(epoch)

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        return await self._each(ids, lambda launcher, its: launcher.observe(its))

    async def taken(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Taken]:
        return await self._each(ids, lambda launcher, its: launcher.taken(its))

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        launcher = self._of_node.get(id.node)
        if launcher is not None:
            await launcher.stop(id, grace_s)

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> LogPart:
        """Raises NotNow, too, while the node is out of reach."""
        return await self._of(id.node).log(id, offset, limit)

    async def forget(self, run_uid: str) -> None:
        for launcher in self._launchers.values():
            await launcher.forget(run_uid)

    async def nodes(self) -> list[NodeReport]:
        """All that are in reach."""
        found: list[NodeReport] = []
        for launcher in self._launchers.values():
            its = await launcher.nodes()
            # Of two nodes of one name the first is meant: what runs there must not become another launcher's.
            found += [node for node in its if self._of_node.setdefault(node.name, launcher) is launcher]
        return found

    def _of(self, node: str) -> Launcher:
        launcher = self._of_node.get(node)
        if launcher is None:
            raise NotNow(f"node {node} is out of reach; ask again when it is back", delay_s=RETRY_S)
        return launcher

    async def _each(
        self,
        ids: Sequence[AttemptId],
        ask: Callable[[Launcher, list[AttemptId]], Awaitable[dict[AttemptId, T]]],
    ) -> dict[AttemptId, T]:
        """What each launcher says of its own, side by side."""
        asked = [
            (launcher, its)
            for launcher in self._launchers.values()
            if (its := [id for id in ids if self._of_node.get(id.node) is launcher])
        ]
        answers = await asyncio.gather(*(ask(launcher, its) for launcher, its in asked))
        return {id: what for answer in answers for id, what in answer.items()}
