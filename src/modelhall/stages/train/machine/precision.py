"""In which numbers a network computes. Its weights, and what the optimizer remembers, are float32 in either case."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Literal

import torch

from modelhall.stages.train.machine.peak import matmul_gflops

Precision = Literal["float32", "bfloat16"]
_GAIN = 1.3
"""How much faster products have to be for their coarser sums to be worth it."""


def choose(
    asked: Literal["auto", "float32", "bfloat16"],
    *,
    has_instructions: Callable[[], bool] | None = None,
    gflops: Callable[[torch.dtype], float] = matmul_gflops,
) -> Precision:
    """What is asked for; or, for `auto`, bfloat16 where the processor has instructions for it and is measured to be
    faster with them."""
    if asked != "auto":
        return asked
    if not (has_instructions or _has_instructions)():
        return "float32"
    return "bfloat16" if gflops(torch.bfloat16) > _GAIN * gflops(torch.float32) else "float32"


def computing_in(precision: Precision) -> contextlib.AbstractContextManager[object]:
    """A while in which what gains by it is computed in `precision`: products, but no sums or exponentials."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast("cpu", torch.bfloat16)


def _has_instructions() -> bool:
    """Whether the processor multiplies bfloat16 by itself: elsewhere it is emulated, and far slower."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
