"""Weights in fewer bits, and with 8 of them arithmetic in whole numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from modelhall.stages.compress.draft import Draft
from modelhall.stages.compress.tuning import Tuning

NEEDS = ("onnx", "onnxruntime")


def apply(draft: Draft, tuning: Tuning, *, bits: Literal[8, 4] = 8, weights_only: bool = False) -> Draft:
    """`weights_only` computes with 32 bits; with 4 that is the only way there is."""
    return replace(draft, bits=bits, weights_only=weights_only or bits == 4)
