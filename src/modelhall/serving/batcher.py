"""Dynamic batching: requests that come close together go through the network together, in a thread of its own.

The event loop stays free for reading and for health checks while the network computes.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from modelhall.core.errors import Broken, HallError, NotNow
from modelhall.serving.model import Answer, Request
from modelhall.tasks import Tensor

_WAITING_BATCHES = 16
"""Full batches that may wait; a request beyond them would be too old when its turn comes."""


class Done(NamedTuple):
    """An answer, and the request's share of the processor seconds its batch took."""

    outputs: list[Tensor]
    compute_s: float


class _Waiting(NamedTuple):
    request: Request
    rows: int
    future: asyncio.Future[Done]


class Batcher:
    """Gathers at most `max_size` rows, for at most `max_delay_s` from the first; a request is never taken apart."""

    def __init__(
        self,
        answer: Callable[[Sequence[Request]], list[Answer]],
        *,
        max_size: int,
        max_delay_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._answer = answer
        self._max_size = max_size
        self._max_delay_s = max_delay_s
        self._monotonic = monotonic
        self._queue: deque[_Waiting] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._closed = False
        self._batch_s = 0.01
        self.on_batch: Callable[[int, float], None] = lambda rows, compute_s: None
        self._thread = threading.Thread(target=self._work, name="compute", daemon=True)
        self._thread.start()

    @property
    def waiting_rows(self) -> int:
        return self._rows

    async def submit(self, request: Request, rows: int) -> Done:
        """The answer to a request of `rows` rows. Raises what the task says of it, NotNow when too many wait."""
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        with self._changed:
            if self._queue and self._rows + rows > _WAITING_BATCHES * self._max_size:
                raise NotNow(
                    f"{self._rows} rows are waiting already", delay_s=_WAITING_BATCHES * self._batch_s
                )
            self._queue.append(_Waiting(request, rows, future))
            self._rows += rows
            self._changed.notify()
        return await future

    def close(self) -> None:
        """End the thread once the queue is empty."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._gather():
            # Whoever is gone by now needs no answer.
            batch = [item for item in batch if not item.future.cancelled()]
            if batch:
                self._compute(batch)

    def _gather(self) -> list[_Waiting]:
        """The next batch; empty when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            until = self._monotonic() + self._max_delay_s
            self._changed.wait_for(
                lambda: self._rows >= self._max_size or self._closed, timeout=until - self._monotonic()
            )
            batch: list[_Waiting] = []
            rows = 0
            while self._queue and (not batch or rows + self._queue[0].rows <= self._max_size):
                item = self._queue.popleft()
                batch.append(item)
                rows += item.rows
            self._rows -= rows
            return batch

    def _compute(self, batch: Sequence[_Waiting]) -> None:
        # A request pays for the work, which is processor time; how long one waits is time that passes.
        begun, begun_cpu_s = time.perf_counter(), time.process_time()
        answers: Sequence[Answer]
        try:
            answers = self._answer([item.request for item in batch])
        except HallError as error:
            answers = [error] * len(batch)
        except Exception:  # noqa: BLE001 - one bad batch must not end the replica; its callers are told
            traceback.print_exc()
            answers = [Broken("the replica failed to compute an answer; its log says why")] * len(batch)
        compute_s = time.process_time() - begun_cpu_s
        self._batch_s = 0.8 * self._batch_s + 0.2 * (time.perf_counter() - begun)
        total = sum(item.rows for item in batch)
        self.on_batch(total, compute_s)
        for item, answer in zip(batch, answers, strict=True):
            item.future.get_loop().call_soon_threadsafe(
                _settle, item.future, answer, compute_s * item.rows / total
            )


def _settle(future: asyncio.Future[Done], answer: Answer, compute_s: float) -> None:
    if future.cancelled():
        return
    if isinstance(answer, HallError):
        future.set_exception(answer)
    else:
        future.set_result(Done(answer, compute_s))
