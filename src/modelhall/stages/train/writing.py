"""When checkpoints are taken, and their writing beside the training, which stands still only while they are copied.

Copies are made into the same memory each time, so the next is taken only once the last is on the disk. However
often checkpoints are asked for, copying takes at most 1 % of the time.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

import torch

from modelhall.stages.train.checkpoint import Checkpoint, Checkpoints

MOST_STALL = 0.01
"""The largest share of the time that the training stands still for checkpoints."""

Room = dict[str, torch.Tensor]
"""Memory that the tensors of a checkpoint are copied into, by name."""


class Writing:
    """The checkpoints of one training, by one worker."""

    def __init__(
        self, checkpoints: Checkpoints, *, every_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._checkpoints = checkpoints
        self._every_s = every_s
        self._monotonic = monotonic
        self._room: Room = {}
        self._thread: threading.Thread | None = None
        self._begun = self._due = monotonic()
        self._due += every_s
        self._stalled_s = 0.0

    @property
    def stall_share(self) -> float:
        """Which share of the time so far the training has stood still for."""
        return self._stalled_s / max(self._monotonic() - self._begun, 1e-9)

    def offer(self, take: Callable[[Room], Checkpoint]) -> bool:
        """Take a checkpoint if one is due and the last is written; whether it was. `take` copies the training's
        state into the room it is given."""
        begun = self._monotonic()
        if begun < self._due or (self._thread is not None and self._thread.is_alive()):
            return False
        checkpoint = take(self._room)
        self._room = dict(checkpoint.tensors)
        self._thread = threading.Thread(target=self._write, args=(checkpoint,), daemon=True)
        self._thread.start()
        now = self._monotonic()
        self._stalled_s += now - begun
        self._due = now + max(self._every_s, (now - begun) / MOST_STALL)
        return True

    def keep(self, take: Callable[[Room], Checkpoint]) -> None:
        """Take a checkpoint whether one is due or not, and come back when it is written."""
        self.end()
        self._write(take(self._room))

    def end(self) -> None:
        """Come back when nothing is being written any more."""
        if self._thread is not None:
            self._thread.join()

    def _write(self, checkpoint: Checkpoint) -> None:
        try:
            self._checkpoints.write(checkpoint)
        except OSError as error:
            # The training is none the worse for it, and the next may find room.
            sys.stderr.write(f"the checkpoint of step {checkpoint.step} cannot be written: {error}\n")


@contextlib.contextmanager
def writing(checkpoints: Checkpoints, *, every_s: float) -> Iterator[Writing]:
    """Checkpoints every so many seconds, until this is left; what earlier writers left half done is cleared away."""
    checkpoints.clear_torn()
    one = Writing(checkpoints, every_s=every_s)
    try:
        yield one
    finally:
        one.end()
