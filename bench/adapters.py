"""Many adapters on one base: the memory each one adds, and what a token takes when every text has another.

    python bench/adapters.py [--quick]

One Llama with random weights and eight adapters of rank 8 beside it, by the engine `torch` on one thread. Prints a
table and, last, one JSON object:

- `base_mb`, `adapter_mb`: what the weights of the base take, and those of one adapter;
- `resident_mb`: the memory of a process with the base alone, with one adapter and with eight;
- `cpu_ms_a_token`: processor time a token, eight texts at once: by the base, all by one adapter, each by its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import torch

from modelhall import networks, tasks
from modelhall.core.kinds.adapter import Adapter, Lora
from modelhall.core.kinds.model import Network
from modelhall.serving.engines import Sampling
from modelhall.serving.engines.torch import adapted_generator, generator

KEYS = itertools.count()
MANY = 8
TEXTS = 8
LORA = Adapter(lora=Lora(rank=8))
WAYS = {"base": [""] * TEXTS, "one": ["a0"] * TEXTS, "each": [f"a{number}" for number in range(TEXTS)]}
"""By which adapter each of the texts is told."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller network, fewer tokens")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _make(folder, hidden=256 if quick else 512, layers=4 if quick else 6)
        # Each in a process of its own, so that none has what another has let go of.
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            asked = [(folder, beside, 8 if quick else 16) for beside in (0, 1, MANY)]
            told = pool.starmap(_measured, asked, chunksize=1)
    figures = {
        "base_mb": told[-1]["base_mb"],
        "adapter_mb": told[-1]["adapters_mb"] / MANY,
        "resident_mb": {one["beside"]: one["resident_mb"] for one in told},
        "cpu_ms_a_token": {"base, without adapters": told[0]["cpu_ms"]["base"], **told[-1]["cpu_ms"]},
    }
    for name, figure in figures.items():
        print(f"{name:16} {figure}")
    print(json.dumps(figures))


def _make(folder: Path, *, hidden: int, layers: int) -> None:
    """A base, and adapters of it."""
    rows = pl.DataFrame(
        {"text": ["All the world is a stage, and all the men and women merely players. " * 200]}
    )
    task = tasks.fit("text-generation", {"train": rows}, {}, length=256)
    network = Network(family="llama", hidden=hidden, layers=layers, heads=8)
    base = folder / "base"
    base.mkdir()
    networks.save(networks.build(network, task.shape), network, task.shape, base)
    task.save(base)
    for number in range(MANY):
        started = networks.start(base, None, task.shape)
        networks.adapt(started, LORA)
        place = folder / f"a{number}"
        place.mkdir()
        networks.save(started.module, started.network, task.shape, place, LORA)


def _measured(folder: Path, beside: int, tokens: int) -> dict[str, Any]:
    """A process with so many adapters beside the base."""
    task = tasks.load("text-generation", folder / "base")
    places = {f"a{number}": folder / f"a{number}" for number in range(beside)}
    if beside:
        engine = adapted_generator(folder / "base", places, task, threads=1, slots=TEXTS)
    else:
        engine = generator(folder / "base", task, threads=1, slots=TEXTS)
    resident_mb = psutil.Process().memory_info().rss / 1e6
    ways = WAYS if beside == MANY else {"base": WAYS["base"]}
    cpu_ms = {way: _cpu_ms(engine, adapters, tokens) for way, adapters in ways.items()}
    files = [place / "adapter_model.safetensors" for place in places.values()]
    base_mb = sum(parameter.nbytes for parameter in networks.load(folder / "base").parameters()) / 1e6
    adapters_mb = sum(file.stat().st_size for file in files) / 1e6
    return {
        "beside": beside, "resident_mb": round(resident_mb, 1), "base_mb": round(base_mb, 1),
        "adapters_mb": round(adapters_mb, 2), "cpu_ms": cpu_ms,
    }  # fmt: skip


def _cpu_ms(engine: Any, adapters: list[str], tokens: int) -> float:
    """Processor milliseconds a token, of texts that are told together; the first time does not count."""
    for _ in range(2):
        for place, adapter in enumerate(adapters):
            prompt = list(range(5 + place, 25 + place))
            engine.add(next(KEYS), prompt, Sampling(most=tokens, adapter=adapter))
        begun_s, told = time.process_time(), 0
        while told < tokens * len(adapters):
            told += len(engine.step())
        spent_s = time.process_time() - begun_s
    return round(1000 * spent_s / told, 3)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
