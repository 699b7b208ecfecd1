"""What a network has read, kept as keys and values, so that each token is read once (transformers' way to ask for
it, without its caches, which grow in ways of their own)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

Layer = tuple[torch.Tensor, torch.Tensor]
"""Keys and values, float32 (rows, heads, length, size)."""


def read(
    network: nn.Module,
    ids: torch.Tensor,
    seen: torch.Tensor,
    positions: torch.Tensor,
    past: Sequence[Layer],
) -> tuple[torch.Tensor, list[Layer]]:
    """The logits after `ids`, (rows, new, vocabulary), and the past with them.

    `seen` (rows, past + new) is 0 where there is padding, `positions` (rows, new) counts without it; `past` has the
    network's layers in order, or nothing.
    """
    kept = _Kept(past)
    told = network(
        input_ids=ids, attention_mask=_mask(seen, ids.shape[1]), position_ids=positions, past_key_values=kept,
        use_cache=True,
    )  # fmt: skip
    return told.logits, [kept.now[layer] for layer in sorted(kept.now)]


class _Kept:
    """What transformers' attention expects of a cache, and no more."""

    is_compileable = False

    def __init__(self, past: Sequence[Layer]) -> None:
        self._past = past
        self.now: dict[int, Layer] = {}

    def get_seq_length(self, layer: int = 0) -> int:
        return self._past[0][0].shape[2] if self._past else 0

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *how: Any, **more: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self._past:
            before = self._past[layer]
            keys, values = torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)
        self.now[layer] = keys, values
        return self.now[layer]


def _mask(seen: torch.Tensor, new: int) -> torch.Tensor:
    """What is added to the scores of attention, float32 (rows, 1, new, past + new): each token sees itself and those
    before it that are no padding. Given whole, since the masks that transformers makes cannot be converted."""
    total = seen.shape[1]
    keys = torch.arange(total)[None, None, None, :]
    queries = torch.arange(total - new, total)[None, None, :, None]
    hidden = ~((keys <= queries) & seen[:, None, None, :].bool())
    return torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(torch.float32).min)
