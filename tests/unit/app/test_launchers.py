"""Several launchers as one."""

from __future__ import annotations

import asyncio

import pytest

from modelhall.adapters.launcher.virtual import Script, VirtualLauncher
from modelhall.app.launchers import Launchers
from modelhall.core.errors import NotNow
from modelhall.core.ports.launcher import AttemptId, Launch, LogPart, NodeReport
from modelhall.twin.clock import OwnClock, VirtualClock


def launcher(*names: str) -> VirtualLauncher:
    nodes = [NodeReport(name=name, cpus=1.0, memory_bytes=2**30, processor="one") for name in names]
    return VirtualLauncher(OwnClock(VirtualClock()), nodes, lambda _: Script(takes_s=5.0))


def launch(node: str, run: str = "r") -> Launch:
    id = AttemptId(run, 1, node)
    return Launch(id=id, run=run, node=node, argv=("x",), order=None, cpus=1.0, threads=1, memory_bytes=None)


def test_an_attempt_is_started_and_asked_after_where_its_node_is() -> None:
    async def story() -> None:
        here, there = launcher("local"), launcher("a", "b")
        both = Launchers({"process": here, "agent": there}, home="local")
        assert [node.name for node in await both.nodes()] == ["local", "a", "b"]
        for one in (launch("local", "near"), launch("b", "far")):
            await both.start(one)
        assert (here.running(), there.running()) == (["near"], ["far"])
        ids = [AttemptId("near", 1, "local"), AttemptId("far", 1, "b")]
        assert [seen.alive for seen in (await both.observe(ids)).values()] == [True, True]
        await both.stop(ids[1], 0.0)
        assert (here.running(), there.running()) == (["near"], [])

    asyncio.run(story())


def test_of_a_node_that_nobody_has_named_yet_nothing_is_said_and_nothing_is_started_there() -> None:
    async def story() -> None:
        both = Launchers({"process": launcher("local"), "agent": launcher("a")}, home="local")
        id = AttemptId("r", 1, "a")
        assert await both.observe([id]) == {}
        await both.stop(id, 0.0)
        with pytest.raises(NotNow, match="node a is out of reach"):
            await both.start(launch("a"))
        with pytest.raises(NotNow):
            await both.log(id, 0)
        await both.nodes()
        assert (await both.observe([id]))[id].alive is None

    asyncio.run(story())


def test_a_run_that_was_never_placed_has_an_empty_log() -> None:
    both = Launchers({"process": launcher("local"), "agent": launcher("a")}, home="local")
    assert asyncio.run(both.log(AttemptId("r", 0), 0)) == LogPart(offset=0, data=b"")


def test_of_two_nodes_of_one_name_the_one_that_was_there_first_is_meant() -> None:
    async def story() -> None:
        here, there = launcher("local"), launcher("local", "b")
        both = Launchers({"process": here, "slurm": there}, home="local")
        assert [node.name for node in await both.nodes()] == ["local", "b"]
        await both.start(launch("local"))
        assert (here.running(), there.running()) == (["r"], [])

    asyncio.run(story())
