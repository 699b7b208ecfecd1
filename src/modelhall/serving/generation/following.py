"""The same texts for those who ask by the Open Inference Protocol: whole, the likeliest token each time."""

from __future__ import annotations

import queue
from collections.abc import Callable

import numpy as np

from modelhall.core.errors import HallError
from modelhall.serving.engines import Sampling, Token
from modelhall.serving.generation.worker import Wanted, Worker
from modelhall.tasks import Examples, Predictions, Tells


class Following:
    """An engine for batches that has the worker tell what follows each row."""

    def __init__(self, task: Tells, worker: Worker, adapter: str = "") -> None:
        self._task = task
        self._worker = worker
        self._adapter = adapter

    def predict(
        self, examples: Examples, *, batch: int, each: Callable[[int], None] | None = None
    ) -> Predictions:
        sampling = Sampling(most=self._task.most_new, ends=self._task.ends, logprobs=0, adapter=self._adapter)
        come: queue.SimpleQueue[tuple[int, Token | HallError]] = queue.SimpleQueue()
        wanted = [Wanted(prompt, sampling) for prompt in examples.inputs]
        self._worker.submit(wanted, lambda place, token, compute_s: come.put((place, token)))
        told: list[list[int]] = [[] for _ in wanted]
        total = np.zeros((len(wanted), 1), dtype=np.float32)
        left = len(wanted)
        while left:
            place, token = come.get()
            if isinstance(token, HallError):
                raise token
            total[place] += token.logprob
            if token.end != "stop":
                told[place].append(token.id)
            left -= token.end is not None
            if each and token.end is not None:
                each(len(wanted) - left)
        return Predictions(predicted=told, scores=total)
