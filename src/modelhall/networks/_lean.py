"""Parts of transformers' networks done in fewer passes over memory, for while they learn.

Between two matrix products a processor spends its time on reading and writing. A stand-in reads less, and is taken
only where it is seen to tell the same as the part it stands in for.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional


@contextlib.contextmanager
def lean(network: nn.Module) -> Iterator[None]:
    """A while in which normalisations, activations and attention of a network have their stand-ins."""
    with contextlib.ExitStack() as over:
        over.enter_context(_attending(getattr(network, "config", None)))
        for part in network.modules():
            stand_in = _stand_in(part)
            if stand_in is not None:
                part.forward = stand_in
                over.callback(delattr, part, "forward")
        yield


@contextlib.contextmanager
def _attending(config: Any) -> Iterator[None]:
    """A while in which a network that attends in torch's way does so by blocks."""
    usual = "sdpa"
    if getattr(config, "_attn_implementation", None) != usual:
        yield
        return
    # Here and not above, since networks of our own do without transformers, which takes seconds to load.
    config._attn_implementation = importlib.import_module("modelhall.networks._attention").BY_BLOCKS
    try:
        yield
    finally:
        config._attn_implementation = usual


def _stand_in(part: nn.Module) -> Any:
    """What does the same as a part, if there is anything that is leaner."""
    name = type(part).__name__
    if name == "NewGELUActivation":
        tanh = partial(functional.gelu, approximate="tanh")
        return tanh if _same(part, tanh, 64) else None
    weight = getattr(part, "weight", None)
    eps = getattr(part, "variance_epsilon", getattr(part, "eps", None))
    if name.endswith("RMSNorm") and isinstance(weight, nn.Parameter) and isinstance(eps, float):
        normed = partial(_normed, weight, eps)
        return normed if _same(part, normed, weight.shape[-1]) else None
    return None


def _same(part: nn.Module, stand_in: Any, width: int) -> bool:
    """Seen on numbers of all sizes, drawn without touching the chance that training draws from."""
    tried = (
        torch.randn(8, width, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 8)[:, None]
    )
    with torch.no_grad():
        return torch.allclose(part(tried), stand_in(tried), rtol=1e-4, atol=1e-5)


def _normed(weight: torch.Tensor, eps: float, states: torch.Tensor) -> torch.Tensor:
    if torch.is_autocast_enabled("cpu"):
        states = states.float()
    normed: torch.Tensor = _Norm.apply(states, weight, eps)  # type: ignore[no-untyped-call]
    return normed


class _Norm(torch.autograd.Function):
    """Division by the root of the mean square (Zhang and Sennrich 2019)."""

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        size: torch.Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        factor = size.square_().div_(states.shape[-1]).add_(eps).rsqrt_()
        unit = states * factor
        ctx.save_for_backward(unit, factor, weight)
        return unit * weight

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        unit, factor, weight = ctx.saved_tensors
        product = gradient * unit
        by_weight = product.flatten(0, -2).sum(0)
        along = (product @ weight).div_(-unit.shape[-1]).unsqueeze(-1)
        return (gradient * weight).addcmul_(unit, along).mul_(factor), by_weight, None
