"""Adapters: a few weights beside those of a base, which stay as they are; how one is trained, and which is served."""

from __future__ import annotations

from pydantic import Field

from modelhall.core.kinds.base import Frozen


class Lora(Frozen):
    """Low-rank adaptation (Hu et al. 2022): to each chosen matrix, the product of two narrow ones is added."""

    rank: int = Field(default=8, ge=1, le=4096, description="Width of the narrow matrices.")
    alpha: float = Field(default=16.0, gt=0, description="What is added counts alpha / rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of its inputs that is left out.")
    targets: tuple[str, ...] = Field(
        default=(),
        description="Layers by name or pattern, such as `q_proj`; all inner linear ones if not said.",
    )


class Adapter(Frozen):
    """The sorts of adapters there are, by name; one of them."""

    lora: Lora


class Served(Frozen):
    """An adapter as a replica serves it."""

    model: str
    """The name of the model it is a version of."""
    version: str
    number: int | None = None
    """Which version of its model it is, from 1."""
