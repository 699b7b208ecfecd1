"""A small virtual hall in which preparing, training and measuring take ten seconds each."""

from __future__ import annotations

import pytest

from modelhall.adapters.launcher.virtual import Script
from modelhall.core import digest
from modelhall.core.hallfile import parse
from modelhall.core.ports.launcher import Launch, NodeReport
from modelhall.twin.plant import Plant

PREPARED = {
    "version": "d" * 64, "artifact": "a" * 64, "rows": {"train": 80, "test": 20},
    "columns": [{"name": "image", "type": "binary"}], "size_bytes": 1000, "sources": [], "steps": [],
}  # fmt: skip
TRAINED = {"size_bytes": 500, "parameters": 100, "steps": 10}

HALL_FILE = """
kind: dataset
name: digits
source: digits.csv
---
kind: model
name: digits
task: image-classification
data: digits
network: {family: cnn}
require: {accuracy: ">= 0.95"}
---
kind: service
name: digits
model: digits
replicas: 2
"""


class World:
    """What the virtual attempts do; tests change it as they go."""

    def __init__(self) -> None:
        self.accuracy = 0.97
        self.takes_s = 10.0
        self.result: dict[str, dict[str, object]] = {}

    def script(self, launch: Launch) -> Script:
        if launch.order is None:
            return Script(takes_s=self.takes_s, result={})
        if "service" in launch.order:
            return Script(takes_s=2.0, serves=True)
        stage = stage_of(launch)
        if stage in self.result:
            code = 0 if "output" in self.result[stage] else 2
            return Script(takes_s=self.takes_s, result=self.result[stage], code=code)
        if stage == "prepare":
            output: dict[str, object] = PREPARED
        elif stage == "train":
            output = {**TRAINED, "artifact": digest.of_json(dict(launch.order))}
        else:
            output = {"metrics": {"accuracy": self.accuracy}, "rows": 20}
        return Script(takes_s=self.takes_s, result={"output": output})


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def plant(world: World) -> Plant:
    nodes = [
        NodeReport(name=name, cpus=2.0, memory_bytes=8 * 2**30, processor="virtual") for name in ("n1", "n2")
    ]
    return Plant(nodes=nodes, script=world.script, sources={"digits.csv": "v1"})


def stage_of(launch: Launch) -> str:
    """prepare, train, evaluate or serving."""
    return launch.argv[2].rpartition(".")[2]


def declare(plant: Plant, text: str = HALL_FILE) -> list[str]:
    """Apply a hall file; return what changed."""
    outcomes = plant.apply(*(declared.document for declared in parse(text, "hall.yaml")))
    return [f"{o.kind} {o.change}" for o in outcomes]
