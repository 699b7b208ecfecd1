"""A rehearsal: a few rows go through the network and back before training begins, which tells what a row takes of
memory and of arithmetic. Whether that is too much is left to `memory`, and how fast it is to `tempo`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_FEW = 2
"""Rows: with one alone, some layers have nothing to take a mean of."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was found. A row of `n` places takes `flop_a_place * n + flop_a_pair * n²` operations."""

    fixed_bytes: int
    """At the fullest, whatever the number of rows."""
    row_bytes: int
    """At the fullest, for each of the longest rows that go through together."""
    flop_a_place: float
    flop_a_pair: float

    def bytes_of(self, rows: int) -> int:
        return self.fixed_bytes + rows * self.row_bytes

    def flop_of(self, lengths: np.ndarray) -> float:
        """Of rows of these lengths; the padding that goes with them is no work."""
        return float((lengths * (self.flop_a_place + self.flop_a_pair * lengths)).sum())


def rehearse(
    network: nn.Module, backward: Callable[[Sequence[int]], object], lengths: np.ndarray
) -> Rehearsal:
    """Rehearse with the longest rows and with one of middle length; `backward` adds the gradient of some rows.
    Afterwards all is as it was before."""
    order = np.argsort(lengths, kind="stable")
    longest, middle = int(order[-1]), int(order[len(order) // 2])
    buffers = [buffer.clone() for buffer in network.buffers()]
    with torch.random.fork_rng(devices=[]):
        few, more, shorter = (
            _take(network, backward, [row] * rows)
            for row, rows in ((longest, _FEW), (longest, 2 * _FEW), (middle, _FEW))
        )
    for buffer, value in zip(network.buffers(), buffers, strict=True):
        buffer.copy_(value)
    row_bytes = max(0, more.peak_bytes - few.peak_bytes) // _FEW
    a_place, a_pair = _two(few.flop / _FEW, lengths[longest], shorter.flop / _FEW, lengths[middle])
    return Rehearsal(
        fixed_bytes=max(0, few.peak_bytes - _FEW * row_bytes),
        row_bytes=max(1, row_bytes),
        flop_a_place=a_place,
        flop_a_pair=a_pair,
    )


@dataclass(frozen=True, kw_only=True)
class _Taken:
    peak_bytes: int
    flop: float


def _take(network: nn.Module, backward: Callable[[Sequence[int]], object], rows: list[int]) -> _Taken:
    held, counted = _Held(), FlopCounterMode(display=False, custom_mapping=_ON_CPU)
    network.zero_grad(set_to_none=True)
    with counted, held:
        backward(rows)
    network.zero_grad(set_to_none=True)
    return _Taken(peak_bytes=held.peak_bytes, flop=float(counted.get_total_flops()))


def _two(long_flop: float, long: int, short_flop: float, short: int) -> tuple[float, float]:
    """What a place and a pair of places take, where rows of two lengths tell them apart."""
    if long == short:
        return float(long_flop / long), 0.0
    a_pair = max(0.0, (long_flop / long - short_flop / short) / (long - short))
    return float(long_flop / long - a_pair * long), float(a_pair)


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_back(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))  # type: ignore[no-untyped-call]


_ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_back,
}
"""Products that torch's own counter passes over."""


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the memory of all tensors that are made while it lasts, for as long as each is there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._now = 0
        self._seen: set[int] = set()
        self.peak_bytes = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = {id(leaf.untyped_storage()) for leaf in _tensors((args, kwargs))}
        made = function(*args, **(kwargs or {}))
        for tensor in _tensors(made):
            self._note(tensor.untyped_storage(), given)
        return made

    def _note(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        """A view, or what was written into, is no new memory."""
        number = id(storage)
        if number in given or number in self._seen:
            return
        self._seen.add(number)
        self._now += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self._now)
        weakref.finalize(storage, self._gone, number, storage.nbytes())

    def _gone(self, number: int, size_bytes: int) -> None:
        self._seen.discard(number)
        self._now -= size_bytes


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
