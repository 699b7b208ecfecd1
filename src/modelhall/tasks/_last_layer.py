"""The loss of tokens by parts, so that the scores of a whole vocabulary are never there for all of them at once.

Those scores are the largest tensor of a step by far, and a loss reads and writes several of their size. Here some
places at a time go through the network's last layer, the loss, and back; what nobody asks about does not go at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional

from modelhall.tasks import Criterion, KnowsItsSlope, Network, outputs_of

_PART_BYTES = 32 << 20
"""Of scores at a time; more for a wide layer, as every part reads all of its weights and adds to their gradient."""
_ENDS: WeakKeyDictionary[nn.Linear, bool] = WeakKeyDictionary()
"""Of layers, whether their network does nothing behind them."""


def loss(
    network: Network,
    inputs: Mapping[str, torch.Tensor],
    criterion: Criterion,
    *,
    wanted: torch.Tensor,
    asked: torch.Tensor,
) -> torch.Tensor:
    """The mean loss over the places that are `asked`, bool (rows, length), where `wanted` is told: the same as that
    of all scores at once, up to rounding."""
    layer = _last(network, inputs)
    if layer is None:
        return criterion(outputs_of(network, dict(inputs))[asked], wanted[asked])
    with _left_out(layer):
        states = outputs_of(network, dict(inputs))
    return _ByParts.apply(states[asked], layer.weight, layer.bias, wanted[asked], criterion)  # type: ignore[no-any-return,no-untyped-call]


def _last(network: Network, inputs: Mapping[str, torch.Tensor]) -> nn.Linear | None:
    """The layer that makes scores, of networks that say which it is and do nothing behind it. Mixed precision goes
    the plain way."""
    if torch.is_autocast_enabled("cpu") or not hasattr(network, "get_output_embeddings"):
        return None
    layer = network.get_output_embeddings()
    if type(layer) is not nn.Linear:
        return None
    if layer not in _ENDS:
        _ENDS[layer] = _is_end(network, layer, inputs)
    return layer if _ENDS[layer] else None


def _is_end(network: Network, layer: nn.Linear, inputs: Mapping[str, torch.Tensor]) -> bool:
    """Whether what a network returns is the very thing that its last layer does, seen on one row."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _left_out(layer) as given:
        told = outputs_of(network, {name: part[:1] for name, part in inputs.items()})
    return len(given) == 1 and told is given[0]


@contextlib.contextmanager
def _left_out(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """A while in which a layer returns what it is given, which is noted."""
    noted: list[torch.Tensor] = []

    def through(states: torch.Tensor) -> torch.Tensor:
        noted.append(states)
        return states

    layer.forward = through
    try:
        yield noted
    finally:
        del layer.forward


def _slope(
    criterion: Criterion, scores: torch.Tensor, wanted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of all places together and its gradient by the scores, which are not there any more."""
    if isinstance(criterion, KnowsItsSlope):
        return criterion.slope(scores, wanted)
    with torch.enable_grad():
        total = criterion(scores.requires_grad_(), wanted) * len(scores)
    return total.detach(), torch.autograd.grad(total, scores)[0]


class _ByParts(torch.autograd.Function):
    """The gradients are computed on the way forward, part by part."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        wanted: torch.Tensor,
        criterion: Criterion,
    ) -> torch.Tensor:
        by_states = torch.empty_like(states)
        by_weight = torch.zeros_like(weight) if weight.requires_grad else None
        by_bias = torch.zeros_like(bias) if bias is not None and bias.requires_grad else None
        total = states.new_zeros(())
        size = max(weight.shape[1], _PART_BYTES // (weight.shape[0] * weight.element_size()))
        for start in range(0, len(states), size):
            part = states[start : start + size]
            scores = functional.linear(part, weight, bias)
            of_part, by_scores = _slope(criterion, scores, wanted[start : start + size])
            total += of_part
            torch.mm(by_scores, weight, out=by_states[start : start + size])
            if by_weight is not None:
                by_weight.addmm_(by_scores.t(), part)
            if by_bias is not None:
                by_bias += by_scores.sum(0)
        # Of the sum: the mean is made of them later, when there is less to divide.
        places = max(1, len(states))
        ctx.gradients, ctx.places = (by_states, by_weight, by_bias), places
        return total / places

    @staticmethod
    def backward(ctx: Any, of_loss: torch.Tensor) -> Any:
        by_states, by_weight, by_bias = (
            None if gradient is None else gradient.mul_(of_loss / ctx.places) for gradient in ctx.gradients
        )
        return by_states, by_weight, by_bias, None, None
