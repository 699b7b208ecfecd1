"""What kills cost a training with two workers: `python bench/goodput.py [--quick]`.

A small GPT learns from made text, undisturbed and with kill -9 of a random worker every minute for ten minutes
(--quick: one kill in forty seconds), started as the launcher starts it. What counts is the time from the first step
to the last. As the machine may become slower or faster meanwhile, the undisturbed training is run before and after,
and its time is the mean. Prints a table and, last, one JSON object:

- `goodput`: the time the steps take undisturbed, over the time they took with kills;
- `kills`, `lost_s_a_kill`: how often, and what each cost;
- `bit_identical`: whether weights and loss curve are those of a training that nobody disturbed;
- `checkpoint_stall_share`: the share of the time for which the training stood still for a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import TrainOrder
from modelhall.core.program import Order, open_blobs

SEED = 1
WORKERS = 2
EPOCHS_TO_TELL_THE_TEMPO = 2
ROWS = 600
WORDS = [first + second for first in "bdfgklmnprst" for second in ("a", "e", "il", "on", "u")]
NETWORK = Network(family="gpt2", hidden=128, layers=2, heads=4, dropout=0.1, positions=64)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Kills:
    """How often a worker is killed, and how many are: on a machine that becomes slower, not more."""

    every_s: float
    most: int


NONE = Kills(every_s=math.inf, most=0)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One training."""

    seconds: float
    """From the first step to the last."""
    steps: int
    artifact: str
    curve: list[dict[str, float]]
    stall_share: float
    kills: int


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="forty seconds and one kill")
    quick = parser.parse_args().quick
    seconds, every_s, most = (40, 20, 1) if quick else (600, 60, 10)
    with tempfile.TemporaryDirectory(prefix="bench-goodput-") as name:
        print(json.dumps(_compared(Path(name), seconds, Kills(every_s=every_s, most=most))))


def _compared(folder: Path, seconds: float, kills: Kills) -> dict[str, Any]:
    data = _text(folder)
    tempo = _train(folder / "tempo", data, EPOCHS_TO_TELL_THE_TEMPO)
    epochs = max(2, round(seconds / (tempo.seconds / EPOCHS_TO_TELL_THE_TEMPO)))
    print(f"{'':14} {'steps':>7} {'s':>8} {'steps/s':>8} {'kills':>6}")
    before = _train(folder / "before", data, epochs)
    broken = _train(folder / "broken", data, epochs, kills)
    after = _train(folder / "after", data, epochs)
    undisturbed_s = (before.seconds + after.seconds) / 2
    for title, ran in (("undisturbed", before), ("with kills", broken), ("undisturbed", after)):
        print(f"{title:14} {ran.steps:7} {ran.seconds:8.1f} {ran.steps / ran.seconds:8.1f} {ran.kills:6}")
    return {
        "goodput": round(undisturbed_s / broken.seconds, 4),
        "kills": broken.kills,
        "lost_s_a_kill": round((broken.seconds - undisturbed_s) / max(1, broken.kills), 2),
        "bit_identical": (broken.artifact, broken.curve) == (before.artifact, before.curve),
        "checkpoint_stall_share": round(max(ran.stall_share for ran in (before, broken, after)), 5),
    }


def _text(folder: Path) -> str:
    """Made sentences in the blobs; the artifact's digest."""
    rng = random.Random(SEED)
    rows = [" ".join(rng.choices(WORDS, k=rng.randrange(20, 60))) for _ in range(ROWS)]
    place = folder / "text"
    place.mkdir()
    for split, part in (("train", rows[: -ROWS // 10]), ("validation", rows[-ROWS // 10 :])):
        pl.DataFrame({"text": part}).write_parquet(place / f"{split}-00000-of-00001.parquet")
    return open_blobs(_order(folder / "made", {})).put_folder(place)


def _train(place: Path, data: str, epochs: int, kills: Kills = NONE) -> Ran:
    """Run one training as a program of its own, a random worker of which is killed every so often."""
    train = Train(epochs=epochs, batch=16, learning_rate=1e-3, seed=SEED, schedule="constant", warmup=0)
    what = TrainOrder(
        task="text-generation", columns={}, network=NETWORK, train=train, data=data, shards=WORKERS
    )
    order = _order(place, what.model_dump(mode="json"))
    (order.work / "order.json").write_text(order.model_dump_json())
    command = [sys.executable, "-m", "modelhall.stages.train", str(order.work / "order.json")]
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"OMP_WAIT_POLICY": "PASSIVE"}
    with (place / "log").open("wb") as log:
        program = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    seconds, killed = _watch(program, order.work / "report.json", _killer(program.pid, kills))
    if program.returncode:
        sys.exit(f"the training failed:\n{(place / 'log').read_text()[-3000:]}")
    return _told(order.work, seconds, killed)


def _watch(program: subprocess.Popen[bytes], report: Path, kill: Callable[[float], int]) -> tuple[float, int]:
    """Follow a training from its first step to its last, with kills on the way; how long it took, and how many."""
    first = last = 0.0
    newest, kills = "", 0
    while program.poll() is None:
        now = time.monotonic()
        found = report.read_text() if report.exists() else ""
        if '"progress"' in found:
            first = first or now
            if found != newest and json.loads(found)["progress"]["done"] != _done(newest):
                last = now
            newest = found
            kills += kill(now - first)
        time.sleep(LOOK_EVERY_S)
    return last - first, kills


def _done(report: str) -> float:
    return float(json.loads(report)["progress"]["done"]) if report else 0.0


def _killer(leader: int, kills: Kills) -> Callable[[float], int]:
    """Kills a random worker when one more is due at a time; how many it has killed just now."""
    rng = random.Random(SEED)
    done = 0

    def kill(at_s: float) -> int:
        nonlocal done
        if done == kills.most or at_s < (done + 1) * kills.every_s:
            return 0
        rng.choice(psutil.Process(leader).children()).kill()
        done += 1
        return 1

    return kill


def _told(work: Path, seconds: float, kills: int) -> Ran:
    output = json.loads((work / "result.json").read_text())["output"]
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    stalls = [line["checkpoint_stall_share"] for line in lines if "checkpoint_stall_share" in line]
    return Ran(
        seconds=seconds,
        steps=output["steps"],
        artifact=output["artifact"],
        # Besides, programs tell how fast they are, which no two runs are alike in.
        curve=[line for line in lines if "loss" in line or "validation_loss" in line],
        stall_share=stalls[-1] if stalls else 0.0,
        kills=kills,
    )


def _order(place: Path, what: dict[str, Any]) -> Order:
    folders = {name: place / name for name in ("work", "state", "cache")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    blobs = f"folder://{place.parent}/blobs"
    return Order(run="bench", attempt=1, what=what, blobs=blobs, threads=1, workers=WORKERS, **folders)


if __name__ == "__main__":
    main()
