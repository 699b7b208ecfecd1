"""How many replicas a service has, where that follows what is asked of it: a part of its document, and of its status.

What is reckoned from what was seen is in `policy/scale/`, and when to give replicas up in `policy/cool_down.py`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, model_validator

from modelhall.core.kinds.base import Frozen

MOST = 1000


class Scaling(Frozen):
    """From `min` to `max` replicas."""

    min: int = Field(default=1, ge=0, le=MOST, description="0 lets the service rest when nobody asks.")
    max: int = Field(ge=1, le=MOST)
    by: str = Field(default="concurrency", description="A file in modelhall/policy/scale.")
    target: float = Field(gt=0, le=1e6, description="What `by` is to be kept at; its file says of what.")
    cool_down_s: float = Field(
        default=60.0, ge=0, le=86_400, description="So long fewer must do before any is given up."
    )
    hold_s: float = Field(
        default=60.0, gt=0, le=3600, description="Longest wait of a request that comes while it rests."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"from {self.min} to {self.max} replicas there are none; min is at most max")
        return self

    def within(self, count: float) -> int:
        """The number of replicas that may be had which is closest to `count`."""
        return int(max(self.min, min(self.max, count)))


Replicas = Annotated[
    Annotated[Annotated[int, Field(ge=0, le=MOST)], Tag("[fixed]")] | Annotated[Scaling, Tag("[scaling]")],
    Discriminator(lambda value: "[scaling]" if isinstance(value, dict | Scaling) else "[fixed]"),
]
"""A number of replicas, or from where to where."""


class Lull(Frozen):
    """A time in which fewer replicas would have done."""

    since: float
    most: int
    """As many would have done at any moment of it."""


class Scale(Frozen):
    """How many replicas a service is to have now, and the lull it is in, if it is in one."""

    count: int
    lull: Lull | None = None
