"""What the virtual attempts do, and the hall file the scenarios begin with. Each stage takes ten seconds."""

from __future__ import annotations

from modelhall.adapters.launcher.virtual import Script
from modelhall.core import digest
from modelhall.core.hallfile import parse
from modelhall.core.ports.launcher import Launch
from modelhall.twin.plant import Plant

PREPARED = {
    "rows": {"train": 80, "test": 20},
    "columns": [{"name": "image", "type": "binary"}], "size_bytes": 1000, "sources": [], "steps": [],
}  # fmt: skip
FOREVER_S = 1e9
TRAINED = {"size_bytes": 500, "parameters": 100, "steps": 10}
COMPRESSED = {
    "size_bytes": 130, "parameters": 100, "engine": "onnxruntime", "chosen": 1,
    "ways": [
        {"name": "as trained", "size_bytes": 500, "row_ms": 1.0, "batch_ms": 9.0},
        {"name": "quantize 8", "size_bytes": 130, "row_ms": 0.5, "batch_ms": 4.0},
    ],
}  # fmt: skip

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
        self.compressed_accuracy = 0.968
        self.takes_s = 10.0
        self.artifact = "a" * 64
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
        if stage == "lend":
            return Script(takes_s=FOREVER_S)
        if stage == "prepare":
            # A hall's versions are named by content; here the artifact stands for it.
            source = str(launch.order["source"]) + self.artifact
            output: dict[str, object] = {
                **PREPARED, "version": digest.of_json(source), "artifact": self.artifact,
            }  # fmt: skip
        elif stage == "train":
            output = {**TRAINED, "artifact": digest.of_json(dict(launch.order))}
        elif stage == "compress":
            output = {**COMPRESSED, "artifact": digest.of_json(dict(launch.order))}
        elif stage == "evaluate" and launch.order["engine"] == "onnxruntime":
            output = {"metrics": {"accuracy": self.compressed_accuracy}, "rows": 20}
        elif stage == "convert":
            output = {"artifact": digest.of_json(dict(launch.order)), "size_bytes": 500}
        elif stage == "sign":
            output = {"signature": digest.of_json(dict(launch.order))}
        elif stage == "erase":
            output = {"files": 3, "size_bytes": 1000}
        else:
            output = {"metrics": {"accuracy": self.accuracy}, "rows": 20}
        return Script(takes_s=self.takes_s, result={"output": output})


def stage_of(launch: Launch) -> str:
    """prepare, train, lend, evaluate, compress, convert, sign or serving."""
    return launch.argv[2].rpartition(".")[2]


def declare(plant: Plant, text: str = HALL_FILE) -> list[str]:
    """Apply a hall file; return what changed."""
    outcomes = plant.apply(*(declared.document for declared in parse(text, "hall.yaml")))
    return [f"{o.kind} {o.change}" for o in outcomes]
