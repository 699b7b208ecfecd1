"""A loaded version: requests in, answers out. Each request stands or falls by itself, though they share a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from modelhall.core.errors import Broken, HallError
from modelhall.serving.engines import Engine
from modelhall.tasks import Examples, Task, Tensor

log = logging.getLogger(__name__)

Request = Mapping[str, Tensor]
Answer = list[Tensor] | HallError


class Model:
    """Task and engine together."""

    def __init__(
        self, task: Task, engine: Engine, *, batch: int, prepare: Callable[[Request], Request] | None = None
    ) -> None:
        """`prepare` makes of a request what the task was trained to read; without it, it is that already."""
        self._prepare = prepare
        self._task = task
        self._engine = engine
        self._batch = batch
        self.inputs = task.inputs
        self.outputs = task.outputs

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """The answer to each request, or why it cannot be read."""
        return self._answers([self._read(request) for request in requests])

    def warm_up(self) -> None:
        """Answer one row and a full batch, so that no caller waits for what happens only once. What the task gives as
        a sample is as it reads it, prepared already."""
        sample = self._task.read(self._task.sample())
        for rows in (1, self._batch):
            for answer in self._answers([sample] * rows):
                if isinstance(answer, HallError):
                    raise answer

    def _answers(self, read: Sequence[Examples | HallError]) -> list[Answer]:
        rows = [part for part in read if isinstance(part, Examples)]
        if not rows:
            return [part for part in read if isinstance(part, HallError)]
        predictions = self._engine.predict(Examples.join(rows), batch=self._batch)
        answers: list[Answer] = []
        start = 0
        for part in read:
            if isinstance(part, HallError):
                answers.append(part)
            else:
                answers.append(self._task.answer(predictions.rows(start, start + len(part))))
                start += len(part)
        return answers

    def _read(self, request: Request) -> Examples | HallError:
        try:
            return self._task.read(self._prepare(request) if self._prepare else request)
        except HallError as error:
            return error
        # A mistake of ours, or of a plug-in, over one request is not the affair of the others in its batch.
        except Exception as error:
            log.exception("request.not_read")
            return Broken(f"the request could not be read: {error!r}")
