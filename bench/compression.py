"""What `compress:` makes of the examples' models on this machine: size, time and quality before and after.

    python bench/compression.py [--quick] [--keep 0.99] [--data FOLDER] [EXAMPLE...]

Every example is prepared, trained and measured by the hall's own stages, compressed by a search that chooses on the
validation split, and measured again on the test split through the engine that serves it. Times are processor time of
one thread, the ways taking turns, so other work on the machine matters little. Examples whose data is not below
FOLDER are left out; `--quick` leaves out those that take minutes. Prints the ways of every model and,
last, one JSON object:

- `models`: for each example its way, sizes, times, metrics before and after, and how many times it became smaller and
  faster (of the geometric mean of a row's and a batch's time; and of each);
- `smaller`, `faster`: those of the best one that kept its contract, by their product; null if none did.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).with_name("support")))

import examples
from examples import Stages

from modelhall.core import requirement
from modelhall.core.kinds import Dataset, Model
from modelhall.core.kinds.compression import Way
from modelhall.core.kinds.model import Network
from modelhall.core.orders import (
    AS_TRAINED,
    CompressOrder,
    CompressOutput,
    EvaluateOrder,
    PrepareOrder,
    Search,
    TrainOrder,
)
from modelhall.stages import compress, evaluate, prepare, train

QUICK = ("digits", "digits-resnet", "adult")
EXAMPLES = (*QUICK, "california-housing", "sst2", "sst2-gru")
OTHER_NETWORKS = {
    "digits-resnet": ("digits", Network(family="resnet")),
    "sst2-gru": ("sst2", Network(family="rnn", cell="gru", bidirectional=True)),
}
"""Examples with another network than their own."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="only what takes seconds")
    parser.add_argument("--keep", type=float, default=0.99, help="share of every required metric")
    parser.add_argument("--data", type=Path, default=examples.DATA, metavar="FOLDER")
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE")
    asked = parser.parse_args()
    models: dict[str, Any] = {}
    for example in asked.examples or (QUICK if asked.quick else EXAMPLES):
        found = _documents(example, asked.data)
        if found is None:
            print(f"{example}: its data is not here")
            continue
        with tempfile.TemporaryDirectory(prefix="bench-compression-") as folder:
            models[example] = _compressed(example, *found, keep=asked.keep, stages=Stages(Path(folder)))
    kept = [figures for figures in models.values() if not figures["refusal"]]
    best = max(kept, key=lambda figures: figures["smaller"] * figures["faster"], default=None)
    print(
        json.dumps(
            {
                "models": models,
                "smaller": best and best["smaller"],
                "faster": best and best["faster"],
            }
        )
    )


def _documents(example: str, data: Path) -> tuple[Dataset, Model] | None:
    """The example's data set and first model; None where its data is not."""
    folder, network = OTHER_NETWORKS.get(example, (example, None))
    found = next(iter(examples.models(folder, data).values()), None)
    if found is None or network is None:
        return found
    dataset, model = found
    return dataset, model.model_copy(update={"network": network})


def _compressed(
    example: str, dataset: Dataset, model: Model, *, keep: float, stages: Stages
) -> dict[str, Any]:
    data = stages.run(prepare, PrepareOrder.of(dataset))["artifact"]
    trained = stages.run(
        train,
        TrainOrder(
            task=model.task, columns=model.columns, network=model.network, train=model.train, data=data
        ),
    )
    whole = {name: text for name, text in model.require.items() if requirement.slice_of(name) is None}
    made = CompressOutput.model_validate(
        stages.run(
            compress,
            CompressOrder(
                task=model.task, model=trained["artifact"], data=data, methods=(), train=model.train,
                search=Search(keep=keep, require=whole),
            ),
        )
    )  # fmt: skip
    before, after = (
        stages.run(
            evaluate,
            EvaluateOrder(
                task=model.task, model=artifact, data=data, metrics=tuple(sorted(whole)), engine=engine
            ),
        )["metrics"]
        for artifact, engine in ((trained["artifact"], AS_TRAINED), (made.artifact, made.engine))
    )
    _print(example, made)
    way, first = made.ways[made.chosen], made.ways[0]
    refusal = [*requirement.lost(whole, before, after, keep), *([way.refusal] if way.refusal else [])]
    return {
        "way": way.name,
        "network": model.network.model_dump(),
        "refusal": ", ".join(refusal),
        "smaller": round(first.size_bytes / way.size_bytes, 2),
        "faster": round(first.time_ms / way.time_ms, 2),
        "before": _figures(first, before, whole),
        "after": _figures(way, after, whole),
    }


def _figures(way: Way, metrics: dict[str, float], required: dict[str, str]) -> dict[str, Any]:
    return {
        "size_bytes": way.size_bytes,
        "row_ms": round(way.row_ms, 3),
        "batch_ms": round(way.batch_ms, 3),
        "metrics": {name: round(metrics[name], 4) for name in required},
    }


def _print(example: str, made: CompressOutput) -> None:
    print(f"{example:34}{'kB':>9}{'row ms':>9}{'batch ms':>10}{'kept':>9}")
    for number, way in enumerate(made.ways):
        mark = "→" if number == made.chosen else "*" if way.front else " "
        kept = "" if way.kept is None else f"{way.kept:.2%}"
        print(
            f"  {mark} {way.name:30}{way.size_bytes / 1000:9.0f}{way.row_ms:9.3f}{way.batch_ms:10.3f}{kept:>9}"
            f"  {way.refusal}"
        )


if __name__ == "__main__":
    main()
