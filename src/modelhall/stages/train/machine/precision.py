"""In which numbers a network computes. Its weights, and what the optimizer remembers, are float32 in either case."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from modelhall.stages.train.machine.peak import bfloat16_gain

Precision = Literal["float32", "bfloat16"]
_GAIN = 1.3
"""How much faster products have to be for their coarser sums to be worth it."""


def choose(
    asked: Literal["auto", "float32", "bfloat16"],
    cache: Path,
    threads: int,
    *,
    has_instructions: Callable[[], bool] | None = None,
    gain: Callable[[Path, int], float] = bfloat16_gain,
) -> Precision:
    """What is asked for; or, for `auto`, bfloat16 where the processor has instructions for it and was measured to be
    faster with them on so many threads, which the node's `cache` remembers."""
    if asked != "auto":
        return asked
    if not (has_instructions or _has_instructions)():
        return "float32"
    return "bfloat16" if gain(cache, threads) > _GAIN else "float32"


def computing_in(precision: Precision) -> contextlib.AbstractContextManager[object]:
    """A while in which what gains by it is computed in `precision`: products, but no sums or exponentials."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast("cpu", torch.bfloat16)


def _has_instructions() -> bool:
    """Whether the processor multiplies bfloat16 by itself: elsewhere it is emulated, and far slower."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
