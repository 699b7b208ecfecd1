"""Those who are at work together, and what they tell each other: by gloo, each at an address of his node.

Whoever is killed closes his connections, and every call of the others ends with Parted, then theirs with them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import torch
from torch import distributed

from modelhall.stages.train import pieces
from modelhall.stages.train.checkpoint import Checkpoint
from modelhall.stages.train.gang.held_up import HeldUp

JOINS_WITHIN = timedelta(seconds=10)
"""All are at hand when they are told to join, so one that does not is gone."""
_WAITS_AT_MOST = timedelta(days=1)
"""Whoever hangs is killed by the leader long before; a validation may take its time."""


class Parted(Exception):
    """Somebody of the group is gone, or it is to be formed anew."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One worker's place in a group."""

    rank: int
    of: int
    number: int
    """Of the group: each has its own."""


class Group:
    """A group, by one of its workers. Every call is made by all at once and raises Parted when somebody is gone. To
    leave it as a context is to let the others know."""

    def __init__(
        self,
        place: Place,
        *,
        address: str,
        meeting: Any,
        heed: Callable[[], None] = lambda: None,
        waits: Callable[[bool], None] = lambda _: None,
        is_called: Callable[[], bool] = lambda: False,
    ) -> None:
        """Join at `address`, an address of this node; `meeting` is a torch.distributed.Store by which they find each
        other. `heed` is called in every step and may raise Parted, `is_called` says whether it would; `waits` is told
        when this worker begins and when it ends to wait for the others."""
        self.rank, self.of = place.rank, place.of
        self._heed = heed
        self._waits = waits
        self._held_up = HeldUp(is_called)
        # By itself and not by `init_process_group`, which binds to an address of its own choice and knows one group
        # a process. What torch tells type checkers of it is less than there is.
        c10d: Any = distributed
        gloo = c10d.ProcessGroupGloo
        options = gloo._Options()
        options._timeout = JOINS_WITHIN
        with self._together():
            options._devices = [gloo.create_device(hostname=address)]
            self._link = gloo(meeting, place.rank, place.of, options)
            self._link.set_timeout(_WAITS_AT_MOST)
        self._held_up.watch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held_up.leave()
        # Its end closes the connections; frames of an exception may hold this object for long.
        del self._link

    def gather_slices(self, mine: torch.Tensor) -> torch.Tensor:
        """(n,) of each → (workers, n / workers): of every worker's the slice that is this worker's."""
        self._heed()
        found = torch.empty_like(mine)
        with self._together():
            self._link.alltoall_base(found, mine, [], []).wait()
        return found.view(self.of, -1)

    def join_slices(self, mine: torch.Tensor) -> torch.Tensor:
        """(n / workers,) of each → (n,): every worker's slice, in their order."""
        # Measured against `allgather`, which takes three times as long over gloo.
        return self.gather_slices(mine.repeat(self.of)).view(-1)

    def tell(self, tensor: torch.Tensor) -> None:
        """Have the others' tensor be as that of the first worker."""
        with self._together():
            self._link.broadcast([pieces.as_bytes(tensor)]).wait()

    def send(self, checkpoint: Checkpoint, to: int) -> None:
        """Hand a whole state to another worker, who calls `receive`."""
        told = json.dumps({"step": checkpoint.step, "facts": dict(checkpoint.facts)}).encode()
        for part in (told, pieces.header_of(checkpoint.tensors)):
            self._send(torch.tensor([len(part)]), to)
            self._send(torch.frombuffer(bytearray(part), dtype=torch.uint8), to)
        for tensor in checkpoint.tensors.values():
            self._send(pieces.as_bytes(tensor), to)

    def receive(self, sender: int) -> Checkpoint:
        """What `send` of another worker sends."""
        told, header = (self._receive_bytes(sender) for _ in range(2))
        tensors = pieces.room_for(header)
        for tensor in tensors.values():
            self._receive(pieces.as_bytes(tensor), sender)
        return Checkpoint(tensors=tensors, **json.loads(told))

    def _send(self, tensor: torch.Tensor, to: int) -> None:
        if tensor.numel():
            with self._together():
                self._link.send([tensor], to, 0).wait()

    def _receive(self, tensor: torch.Tensor, sender: int) -> None:
        if tensor.numel():
            with self._together():
                self._link.recv([tensor], sender, 0).wait()

    def _receive_bytes(self, sender: int) -> bytes:
        length = torch.zeros(1, dtype=torch.int64)
        self._receive(length, sender)
        found = torch.empty(int(length), dtype=torch.uint8)
        self._receive(found, sender)
        return found.numpy().tobytes()

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        self._waits(True)
        try:
            yield
        except RuntimeError as error:  # all that gloo and its store raise
            raise Parted(str(error)) from None
        finally:
            self._waits(False)
