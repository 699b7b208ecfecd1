"""What nodes of a Ray cluster are to the hall, by Ray's figures."""

from __future__ import annotations

import pytest

from modelhall.adapters.launcher.ray.cluster import Agent, Held, RayNode, others_hold
from modelhall.core.names import is_name


def node(name: str = "w1", *, available: dict[str, float] | None = None, **resources: float) -> RayNode:
    agent = Agent(works=True, available=available)
    return RayNode(id="a1", name=name, address="10.0.0.7", resources=resources, agent=agent)


@pytest.mark.parametrize(
    ("name", "called"),
    [("w1", "ray-w1"), ("10.0.0.7", "ray-10-0-0-7"), ("Rack_A.Node-3", "ray-rack-a-node-3"), ("é", "ray")],
)
def test_a_node_has_a_name_that_halls_take(name: str, called: str) -> None:
    assert node(name).called == called
    assert is_name(called)


def test_the_longest_name_leaves_room_for_what_is_named_after_it() -> None:
    assert is_name(f"node-{node('x' * 300).called}")


def test_others_hold_what_is_neither_free_nor_the_halls() -> None:
    held = (Held(name="r/1", node_id="a1", amounts={"CPU": 2.0, "GPU": 1.0}),)
    elsewhere = (Held(name="s/1", node_id="b2", amounts={"CPU": 4.0}),)
    there = node(available={"CPU": 3.0, "memory": 8.0}, CPU=8.0, GPU=1.0, memory=10.0)
    assert others_hold(there, held + elsewhere) == {"CPU": 3.0, "memory": 2.0}


def test_of_a_node_whose_figures_are_not_known_nobody_else_holds_anything() -> None:
    assert others_hold(node(CPU=8.0), ()) == {}


def test_what_kind_of_gpu_it_has_is_told_by_a_label_or_by_a_resource() -> None:
    assert node(**{"accelerator_type:H100": 1.0}).gpu_type == "H100"
    labelled = node().model_copy(update={"labels": {"ray.io/accelerator-type": "A100"}})
    assert (labelled.gpu_type, node().gpu_type) == ("A100", "")
