"""A small virtual hall of two nodes."""

from __future__ import annotations

import pytest
from virtual_hall import World

from modelhall.core.ports.launcher import NodeReport
from modelhall.twin.plant import Plant


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def plant(world: World) -> Plant:
    nodes = [
        NodeReport(name=name, cpus=2.0, memory_bytes=8 * 2**30, processor="virtual") for name in ("n1", "n2")
    ]
    return Plant(nodes=nodes, script=world.script, sources={"digits.csv": "v1"})
