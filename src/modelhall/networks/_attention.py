"""Causal attention of short texts by blocks, for while transformers' networks learn.

What a block of places attends to ends with the block, so nearly half of the products need not be computed; torch's
own kernel for processors is made for long texts, and takes a fifth longer here. The weights of attention are kept for
the way back, which is why long texts, of which there are too many, go the usual way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

BY_BLOCKS = "by-blocks"
"""What transformers knows it by."""
_BLOCK = 64
_LONGEST = 512


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers asks for it: (rows, heads, length, size) each → (rows, length, heads, size)."""
    if not (_is_plain(module, attention_mask, dropout, more) and _suits(query, key, value)):
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
        return plain
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    told: torch.Tensor = _ByBlocks.apply(query, key, value, scale)  # type: ignore[no-untyped-call]
    return told, None


def _is_plain(module: nn.Module, mask: torch.Tensor | None, dropout: float, more: dict[str, Any]) -> bool:
    """Whether each place attends to itself and all before it, and to nothing else."""
    causal = more.get("is_causal")
    is_causal = getattr(module, "is_causal", True) if causal is None else causal
    others = any(more.get(name) is not None for name in ("softcap", "position_bias", "cache"))
    return is_causal and mask is None and not dropout and not others


def _suits(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    length = query.shape[2]
    is_short = _BLOCK < length <= _LONGEST and not length % _BLOCK
    return is_short and query.shape == key.shape == value.shape and query.dtype == torch.float32


AttentionInterface.register(BY_BLOCKS, attend)
AttentionMaskInterface.register(BY_BLOCKS, sdpa_mask)


class _ByBlocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        rows, heads, length, size = query.shape
        query, key, value = _flat(query) * scale, _flat(key), _flat(value)
        told = query.new_empty(rows, length, heads, size)
        hidden = torch.full((_BLOCK, _BLOCK), -torch.inf).triu_(1)
        weights = []
        for start, end in _blocks(length):
            scores = torch.bmm(query[:, start:end], key[:, :end].transpose(1, 2))
            scores[:, :, start:] += hidden
            weights.append(torch.softmax(scores, -1))
            block = torch.bmm(weights[-1], value[:, :end])
            told[:, start:end] = block.view(rows, heads, _BLOCK, size).transpose(1, 2)
        ctx.save_for_backward(query, key, value, told, *weights)
        ctx.scale = scale
        return told

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        query, key, value, told, *weights = ctx.saved_tensors
        rows, length, heads, size = told.shape
        along = (gradient * told).sum(-1).transpose(1, 2).reshape(-1, length, 1)
        gradient = _flat(gradient.transpose(1, 2))
        by_query, by_key, by_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for (start, end), weight in zip(_blocks(length), weights, strict=True):
            mine = gradient[:, start:end]
            by_scores = torch.bmm(mine, value[:, :end].transpose(1, 2)).sub_(along[:, start:end]).mul_(weight)
            by_value[:, :end].baddbmm_(weight.transpose(1, 2), mine)
            by_query[:, start:end] = torch.bmm(by_scores, key[:, :end])
            by_key[:, :end].baddbmm_(by_scores.transpose(1, 2), query[:, start:end])
        by_query *= ctx.scale
        return *(part.view(rows, heads, length, size) for part in (by_query, by_key, by_value)), None


def _flat(part: torch.Tensor) -> torch.Tensor:
    """(rows, heads, length, size) → (rows · heads, length, size)."""
    return part.reshape(-1, *part.shape[2:])


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    return ((start, start + _BLOCK) for start in range(0, length, _BLOCK))
