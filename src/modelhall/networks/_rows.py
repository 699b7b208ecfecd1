"""One base, many adapters: each row of a batch goes through the network with an adapter of its own.

The base's matrices stay as they are and are read once for all rows. Of what an adapted layer is given, the rows of
each adapter go through its two narrow matrices as well, and what these make is added (Chen et al. 2023, Punica; Sheng
et al. 2023, S-LoRA; without their kernels). How adapters are stored is left to `_lora.py`, which row is whose to the
engine.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from modelhall.core.errors import Rejected
from modelhall.networks._lora import Learnt, Narrow

_WITH_ROWS = 3
"""Dimensions of what a layer is given that sees rows: rows, tokens, numbers."""
_TRIED = 3
"""Tokens of each row that is tried."""
_FEWEST = 2
"""Rows that are tried, so that a layer that is given them all as one is found out."""


class _Of(NamedTuple):
    """The rows of one adapter in a batch."""

    adapter: str
    rows: torch.Tensor | None
    """None is all of them."""


class Adapted:
    """A network with several adapters beside it. Each thread says for itself whose rows it sends through."""

    def __init__(self, module: nn.Module, adapters: Mapping[str, Learnt]) -> None:
        """Raises Rejected for adapters that hold more than what stands beside layers, and for a network that has
        layers which do not see its rows."""
        self.module = module
        self._learnt = adapters
        self._batch = threading.local()
        for name, learnt in adapters.items():
            if learnt.whole:
                raise Rejected(
                    f"adapter {name!r} has learnt {', '.join(sorted(learnt.whole))} as a whole, since its base has "
                    "no such weights; serve it as the `model` of a service of its own"
                )
        for layer in sorted({layer for learnt in adapters.values() for layer in learnt.layers}):
            beside = {
                name: learnt.layers[layer] for name, learnt in adapters.items() if layer in learnt.layers
            }
            module.get_submodule(layer).register_forward_hook(partial(self._add, layer, beside))
        self._try_out()

    @property
    def size_bytes(self) -> int:
        """What the adapters take beside the network."""
        narrow = (one for learnt in self._learnt.values() for one in learnt.layers.values())
        return sum(part.nbytes for one in narrow for part in (one.down, one.up))

    @contextmanager
    def by(self, adapters: Sequence[str]) -> Iterator[None]:
        """A while in which the rows of this thread's batches are each by the adapter named in its place; a name that
        none has is the network alone."""
        self._batch.size, self._batch.groups = len(adapters), self._grouped(adapters)
        try:
            yield
        finally:
            self._batch.groups = ()

    def _grouped(self, adapters: Sequence[str]) -> tuple[_Of, ...]:
        there = self._learnt.keys() & set(adapters)
        if len(there) == 1 and there.issuperset(adapters):
            return (_Of(adapters[0], None),)
        return tuple(
            _Of(name, torch.tensor([row for row, one in enumerate(adapters) if one == name]))
            for name in sorted(there)
        )

    def _add(
        self, name: str, beside: Mapping[str, Narrow], layer: nn.Module, given: tuple[Any, ...], made: Any
    ) -> Any:
        """A hook of an adapted layer: what it makes, with what the adapters of the rows add to it."""
        groups: tuple[_Of, ...] = getattr(self._batch, "groups", ())
        if not groups:
            return made
        inputs = given[0]
        if inputs.dim() < _WITH_ROWS or inputs.shape[0] != self._batch.size:
            raise Rejected(
                f"the layer {name!r} is given {list(inputs.shape)}, and not {self._batch.size} rows of tokens: "
                "adapters of this network cannot share a batch; serve each as the `model` of a service of its own"
            )
        for adapter, rows in groups:
            if (narrow := beside.get(adapter)) is not None:
                own = inputs if rows is None else inputs[rows]
                added = narrow.scale * ((own @ narrow.down.T) @ narrow.up.T)
                made = made + added if rows is None else made.index_add_(0, rows, added)
        return made

    def _try_out(self) -> None:
        """Send a row of each adapter through, side by side. Raises Rejected where that cannot be."""
        names = [*sorted(self._learnt), *[""] * (_FEWEST - len(self._learnt))]
        ids = torch.zeros(len(names), _TRIED, dtype=torch.int64)
        try:
            with torch.inference_mode(), self.by(names):
                self.module(input_ids=ids, attention_mask=torch.ones_like(ids))
        except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
            raise Rejected(f"its adapters cannot share a batch: {error!r:.400}") from None
