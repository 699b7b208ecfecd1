"""One side of a contest, as a program: it runs so many steps when it is told to, and says what they took.

    python contestant.py hall|trainer|matmul CONTEST.json

Reads a number of steps a line; answers with a line of JSON: processor seconds, tokens, and the number of weights.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import transformers

from modelhall import networks, tasks
from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import TrainOrder
from modelhall.core.program import Order, Reporter
from modelhall.stages import train
from modelhall.stages.train.batches import batches


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What both sides learn."""

    task: str
    network: dict[str, Any]
    train: dict[str, Any]
    rows: str
    """A parquet file."""
    order: dict[str, Any]
    threads: int


class Over(BaseException):
    """Nobody wants any more steps."""


class Turns:
    """Whose turn it is."""

    def __init__(self, weights: int = 0) -> None:
        self._weights = weights
        self._left, self._began, self._tokens = 0, 0.0, 0

    def wait(self) -> None:
        """For the next turn. Raises Over when there is none."""
        line = sys.stdin.readline()
        if not line:
            raise Over
        self._left, self._began, self._tokens = int(line), time.process_time(), 0

    def step(self, tokens: int) -> None:
        """One is done; when it was the last of the turn, say what they took and wait."""
        self._left -= 1
        self._tokens += tokens
        if not self._left:
            taken = {
                "cpu_s": time.process_time() - self._began,
                "tokens": self._tokens,
                "weights": self._weights,
            }
            print(json.dumps(taken), flush=True)
            self.wait()


def main() -> None:
    side, path = sys.argv[1:]
    contest = Contest(**json.loads(Path(path).read_text()))
    torch.set_num_threads(contest.threads)
    with contextlib.suppress(Over):
        {"hall": _hall, "trainer": _trainer, "matmul": _matmul}[side](contest)


def _hall(contest: Contest) -> None:
    """The hall's own stage, from its order."""
    order = Order(**contest.order)
    what = TrainOrder.model_validate(order.what)
    task, examples, network = _made(contest)
    turns = Turns(sum(weight.numel() for weight in network.parameters()))
    del network
    train.carry_out(order, _Paced(order.work, turns, _tokens_of_steps(task, examples, what.train)))


class _Paced(Reporter):
    """Is told of every step."""

    def __init__(self, work: Path, turns: Turns, tokens: Iterator[int]) -> None:
        super().__init__(work)
        self._turns, self._tokens, self._begun = turns, tokens, False

    def progress(self, done: float, total: float | None, unit: str, **more: Any) -> None:
        super().progress(done, total, unit, **more)
        tokens = next(self._tokens)
        if self._begun:
            self._turns.step(tokens)
        else:
            # The first step warms up.
            self._begun = True
            self._turns.wait()


def _tokens_of_steps(task: tasks.Task, examples: tasks.Examples, train: Train) -> Iterator[int]:
    """How many tokens each step of the hall learns from."""
    lengths = np.asarray(examples.lengths or [task.shape.sizes["length"]] * len(examples))
    for epoch in range(train.epochs):
        for rows in batches(
            len(examples), train.batch, seed=train.seed, epoch=epoch, lengths=examples.lengths
        ):
            yield int(lengths[rows].sum())


def _trainer(contest: Contest) -> None:
    """transformers' Trainer over the same rows from the same weights."""
    task, examples, network = _made(contest)
    asked = Train(**contest.train)
    turns = Turns(sum(weight.numel() for weight in network.parameters()))
    arguments = transformers.TrainingArguments(
        output_dir=str(Path(contest.order["work"]) / "trainer"),
        per_device_train_batch_size=asked.batch,
        num_train_epochs=asked.epochs,
        learning_rate=asked.learning_rate,
        weight_decay=asked.weight_decay,
        max_grad_norm=asked.clip or 0.0,
        lr_scheduler_type=asked.schedule.name,
        seed=asked.seed,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    collator = _Collator(task, examples)
    trainer = transformers.Trainer(
        model=network,
        args=arguments,
        train_dataset=list(range(len(examples))),
        data_collator=collator,
        callbacks=[_Callback(turns, collator)],
    )
    # What Trainer asks of a dataset's columns is not asked of rows that are numbers.
    trainer._remove_unused_columns = lambda dataset, description=None: dataset
    trainer.train()


class _Collator:
    """Batches padded to their longest row, as transformers' collators make them."""

    def __init__(self, task: tasks.Task, examples: tasks.Examples) -> None:
        self._task, self._examples = task, examples
        self.tokens: deque[int] = deque()
        """Of the batches that are made and not learnt from yet: Trainer fetches ahead."""

    def __call__(self, rows: list[int]) -> dict[str, torch.Tensor]:
        batch = self._task.batch(self._examples, rows)
        self.tokens.append(int(batch["attention_mask"].sum()))
        if self._task.shape.head == "causal-lm":
            # transformers shifts by itself what is to be told.
            batch["labels"] = batch["input_ids"]
        return batch


class _Callback(transformers.TrainerCallback):
    def __init__(self, turns: Turns, collator: _Collator) -> None:
        self._turns, self._collator, self._begun = turns, collator, False

    def on_step_end(self, *_: Any, **__: Any) -> None:
        tokens = self._collator.tokens.popleft()
        if self._begun:
            self._turns.step(tokens)
        else:
            self._begun = True
            self._turns.wait()


def _made(contest: Contest) -> tuple[tasks.Task, tasks.Examples, torch.nn.Module]:
    """The task, its rows and the network, as the stage makes them."""
    rows = pl.read_parquet(contest.rows)
    network = Network(**contest.network)
    task = tasks.fit(contest.task, {"train": rows}, {}, length=network.options.get("positions"))
    torch.manual_seed(Train(**contest.train).seed)
    return task, task.examples("train", rows), networks.build(network, task.shape)


def _matmul(contest: Contest) -> None:
    """Products of a favourable size: a step is one, and its tokens are its operations."""
    found = {shape: _product(shape) for shape in ((1024, 1024, 1024), (2048, 384, 1536), (2048, 2048, 2048))}
    rows, inner, columns = max(found, key=lambda shape: found[shape])
    one, other = torch.randn(rows, inner), torch.randn(inner, columns)
    turns = Turns()
    turns.wait()
    while True:
        one @ other
        turns.step(2 * rows * inner * columns)


def _product(shape: tuple[int, int, int]) -> float:
    """Operations a processor second."""
    rows, inner, columns = shape
    one, other = torch.randn(rows, inner), torch.randn(inner, columns)
    best = 0.0
    for _ in range(5):
        began = time.process_time()
        one @ other
        best = max(best, 2 * rows * inner * columns / (time.process_time() - began))
    return best


if __name__ == "__main__":
    main()
