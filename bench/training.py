"""Training beside transformers' Trainer, beside the processor's peak, and beside nanoGPT's recipe.

    python bench/training.py [--quick] [--threads 1]

Same model, rows, batch, fp32 and threads on both sides: the hall's stage as a run executes it, and Trainer as its
documentation has it (fused AdamW, batches padded to their longest row). Each is a process of its own; they take turns
of a few steps, now one first and now the other, and what is told is the median over the turns of tokens a second of
processor time, so that other work on the machine hits all alike. Prints a table and, last, one JSON object:

- `gpt_vs_hf_trainer`: tokens a second over Trainer's, of a GPT-2 of 13.8 million weights;
- `bert_vs_hf_trainer`: the same of a BERT classifier, of texts as unequal in length as film reviews' sentences;
- `gpt_peak_share`: the arithmetic of that GPT-2 (six operations a weight and token, and attention, as nanoGPT counts)
  over that of matrix products of a favourable size, measured between the turns;
- `time_to_loss_speedup`: processor time in which a small GPT reaches the loss on held-out text that nanoGPT's recipe
  reaches at its end (AdamW with betas 0.9 and 0.99, decay 0.1, cosine to a tenth after a warm-up, norm clipped at 1,
  batches of 12), over the time to that loss with Muon, larger batches and half the epochs; 0 when it is not reached.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).with_name("support")))

import numpy as np
import polars as pl
import standard_library

from modelhall.core.program import Order, Reporter, open_blobs
from modelhall.stages import _data
from modelhall.stages.train import carry_out

GPT = {"family": "gpt2", "hidden": 384, "layers": 6, "heads": 6, "dropout": 0.0, "positions": 256}
BERT = {"family": "bert", "hidden": 256, "layers": 4, "heads": 4}
SMALL = {
    "family": "llama", "hidden": 128, "layers": 4, "heads": 4, "feed_forward": 344, "positions": 64,
    "config": {"tie_word_embeddings": True},
}  # fmt: skip
TRAIN = {"schedule": "linear", "learning_rate": 5e-4, "warmup": 0.0, "checkpoint_s": 1e9}
NANOGPT = {
    "optimizer": {"adamw": {"beta1": 0.9, "beta2": 0.99}}, "learning_rate": 1e-3, "weight_decay": 0.1,
    "schedule": {"cosine": {"to": 0.1}}, "warmup": 0.05, "clip": 1.0, "epochs": 6, "batch": 12,
}  # fmt: skip
MUON = {
    "optimizer": "muon", "learning_rate": 5e-3, "weight_decay": 0.1, "schedule": "linear", "warmup": 0.02,
    "clip": 1.0, "epochs": 3, "batch": 24,
}  # fmt: skip
ENDLESS = 1000
"""Epochs of a contest, which ends when there are no more turns."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer turns, a shorter recipe")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    turns, size_bytes = (4, 1_000_000) if asked.quick else (12, 2_000_000)
    with tempfile.TemporaryDirectory(prefix="bench-training-") as name:
        folder = Path(name)
        print(f"{'':24} {'tokens/s':>10} {'GFLOP/s':>8}")
        figures = _gpt(folder, asked.threads, turns)
        figures |= _bert(folder, asked.threads, turns)
        figures |= _time_to_loss(folder / "recipes", asked.threads, size_bytes)
    print(json.dumps(figures))


def _gpt(folder: Path, threads: int, turns: int) -> dict[str, float]:
    rows = pl.DataFrame({"text": standard_library.texts(4_200_000)})
    contest = _contest(folder / "gpt", "text-generation", GPT, {**TRAIN, "batch": 8}, rows, threads)
    taken = _taken(contest, threads, {"hall": 2, "trainer": 2, "matmul": 20}, turns)
    flop = 6 * taken["hall"][0]["weights"] + 12 * GPT["layers"] * GPT["hidden"] * GPT["positions"]
    for side in ("hall", "trainer"):
        _print(f"GPT, {side}", taken[side], flop)
    peak = statistics.median(map(_each, taken["matmul"]))
    print(f"{'matrix products':24} {'':10} {peak / 1e9:8.1f}")
    shares = [
        _each(ours) * flop / _each(peak) for ours, peak in zip(taken["hall"], taken["matmul"], strict=True)
    ]
    return {"gpt_vs_hf_trainer": _ratio(taken), "gpt_peak_share": round(statistics.median(shares), 3)}


def _bert(folder: Path, threads: int, turns: int) -> dict[str, float]:
    contest = _contest(
        folder / "bert", "text-classification", BERT, {**TRAIN, "batch": 32}, _sentences(6000), threads
    )
    taken = _taken(contest, threads, {"hall": 6, "trainer": 6}, turns)
    for side in ("hall", "trainer"):
        _print(f"BERT, {side}", taken[side])
    return {"bert_vs_hf_trainer": _ratio(taken)}


def _sentences(number: int) -> pl.DataFrame:
    """Texts of real words whose lengths lie as those of film reviews' sentences and longer passages do: a median of
    19 words, and one in twenty above 60."""
    random = np.random.default_rng(0)
    words = np.array(" ".join(standard_library.texts(500_000)).split())
    lengths = np.clip(random.lognormal(np.log(19), 0.7, number), 2, 200).astype(int)
    starts = random.integers(0, len(words) - 200, number)
    texts = [" ".join(words[start : start + length]) for start, length in zip(starts, lengths, strict=True)]
    return pl.DataFrame({"text": texts, "label": random.integers(0, 2, number)})


def _time_to_loss(folder: Path, threads: int, size_bytes: int) -> dict[str, float]:
    """Both from the same first weights over the same rows, the recipe some epochs and ours fewer, each to the end of
    its own schedule."""
    texts = standard_library.texts(size_bytes)
    held_out = {"validation": pl.DataFrame({"text": texts[::10]})}
    shown = pl.DataFrame({"text": [text for place, text in enumerate(texts) if place % 10]})
    found = {}
    for name, recipe in (("nanoGPT's recipe", NANOGPT), ("Muon", MUON)):
        train = {**TRAIN, **recipe}
        order = _order(folder / name, "text-generation", SMALL, train, {"train": shown, **held_out}, threads)
        found[name] = _Watching(order.work)
        carry_out(order, found[name])
        cpu_s, loss = found[name].validated[-1]
        print(f"{'small GPT, ' + name:24} {cpu_s:10.1f} s to a loss of {loss:.3f}")
    wanted_s, wanted = found["nanoGPT's recipe"].validated[-1]
    reached = [cpu_s for cpu_s, loss in found["Muon"].validated if loss <= wanted]
    return {"time_to_loss_speedup": round(wanted_s / reached[0], 2) if reached else 0.0}


class _Watching(Reporter):
    """Notes the loss of each validation, and after how many processor seconds of training."""

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self._began: float | None = None
        self.validated: list[tuple[float, float]] = []

    def progress(self, *args: Any, **more: Any) -> None:
        self._began = self._began or time.process_time()
        super().progress(*args, **more)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        if "validation_loss" in values and self._began is not None:
            self.validated.append((time.process_time() - self._began, values["validation_loss"]))
        super().metrics(step, values)


def _contest(
    folder: Path, task: str, network: dict[str, Any], train: dict[str, Any], rows: pl.DataFrame, threads: int
) -> Path:
    """The file that tells both sides what they learn."""
    train = {**train, "epochs": ENDLESS}
    order = _order(folder, task, network, train, {"train": rows}, threads)
    rows.write_parquet(folder / "rows.parquet")
    told = {
        "task": task, "network": network, "train": train, "rows": str(folder / "rows.parquet"),
        "order": order.model_dump(mode="json"), "threads": threads,
    }  # fmt: skip
    (folder / "contest.json").write_text(json.dumps(told))
    return folder / "contest.json"


def _order(
    folder: Path,
    task: str,
    network: dict[str, Any],
    train: dict[str, Any],
    splits: dict[str, pl.DataFrame],
    threads: int,
) -> Order:
    """What the hall would hand its stage."""
    places = {name: folder / name for name in ("work", "state", "cache", "data")}
    for place in places.values():
        place.mkdir(parents=True)
    for name, rows in splits.items():
        rows.write_parquet(places["data"] / _data.name(name, 0, 1))
    order = Order(
        run="bench", attempt=1, what={}, blobs=f"folder://{folder}/blobs", threads=threads,
        **{name: places[name] for name in ("work", "state", "cache")},
    )  # fmt: skip
    data = open_blobs(order).put_folder(places["data"])
    what = {"task": task, "columns": {}, "network": network, "train": train, "data": data}
    return order.model_copy(update={"what": what})


def _taken(contest: Path, threads: int, steps: dict[str, int], turns: int) -> dict[str, list[dict[str, Any]]]:
    """What each side took for its steps, turn by turn."""
    program = Path(__file__).with_name("support") / "contestant.py"
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    sides = {
        side: subprocess.Popen(
            [sys.executable, str(program), side, str(contest)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for side in steps
    }  # fmt: skip
    taken: dict[str, list[dict[str, Any]]] = {side: [] for side in steps}
    for turn in range(turns):
        for side in sorted(steps, reverse=bool(turn % 2)):
            taken[side].append(_turn(sides[side], steps[side]))
    for process in sides.values():
        process.communicate()
    return taken


def _turn(process: subprocess.Popen[str], steps: int) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    for line in process.stdout:
        # Libraries say things, too.
        if line.startswith('{"cpu_s"'):
            return dict(json.loads(line))
    sys.exit(f"a contestant ended with {process.wait()}")


def _ratio(taken: dict[str, list[dict[str, Any]]]) -> float:
    """The median over the turns of how much faster the hall was."""
    pairs = zip(taken["hall"], taken["trainer"], strict=True)
    return round(statistics.median(_each(ours) / _each(theirs) for ours, theirs in pairs), 2)


def _each(turn: dict[str, Any]) -> float:
    """Tokens a processor second; of matrix products, operations."""
    return float(turn["tokens"] / turn["cpu_s"])


def _print(name: str, turns: list[dict[str, Any]], flop: float = 0.0) -> None:
    """`flop` is what a token takes, where that is counted."""
    each = statistics.median(map(_each, turns))
    print(f"{name:24} {each:10.0f} {f'{each * flop / 1e9:8.1f}' if flop else '':>8}", flush=True)


if __name__ == "__main__":
    main()
