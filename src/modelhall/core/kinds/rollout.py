"""How one version takes another's place: what people declare of it, and how far it has come.

A *release* is a version as a service serves it: with another batching, engine or resources it is another release of
the same version, and comes into use by the same way.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from modelhall.core import digest
from modelhall.core.kinds.adapter import Served
from modelhall.core.kinds.base import Frozen, Resources
from modelhall.core.names import Reference

_PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d{1,6})?)\s*%\s*")


def _share(value: Any) -> Any:
    """`5%` → 0.05; what is no text stays."""
    if not isinstance(value, str):
        return value
    match = _PERCENT.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not a share: write 5% or 0.05")
    return float(match[1]) / 100


Share = Annotated[
    float,
    BeforeValidator(_share),
    Field(gt=0, le=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                {"type": "string", "pattern": "%$"},
            ]
        }
    ),
]
"""A part of the whole, written `5%` or `0.05`."""


class Canary(Frozen):
    """A new release gets more and more of the requests, as long as it does no worse than the one before."""

    steps: tuple[Share, ...] = Field(
        default=(0.05, 0.25, 0.5),
        min_length=1,
        max_length=100,
        description="Its share at each step, such as 5%.",
    )
    every_s: float = Field(default=300.0, ge=0, le=30 * 86_400, description="The least time of a step.")
    requests: int = Field(
        default=100, ge=1, le=10_000_000, description="The least requests of a step, for either release."
    )
    by: Literal["caller", "request"] = Field(
        default="caller", description="Whether a caller stays with the release he has come to."
    )
    errors: Share | None = Field(
        default=0.01, description="So much more of its requests may fail than of the other's."
    )
    latency: float | None = Field(
        default=1.2, ge=1, le=1000, description="Its 95th percentile may be so many times the other's."
    )
    quality: float | None = Field(
        default=0.0, ge=0, le=1e6, description="So much worse its figures may be, measured on the same rows."
    )

    @field_validator("steps")
    @classmethod
    def _rise(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError("each step's share is larger than the one before")
        return steps


class Shadow(Frozen):
    """Copies of requests go to another version too, whose answers nobody gets."""

    model: Reference = Field(
        description="name@version, or a name for the newest accepted version of a model."
    )
    share: Share = Field(default=0.1, description="Of how many requests it gets a copy.")
    replicas: int = Field(default=1, ge=1, le=1000)


class Rollout(Frozen):
    """How versions come into use; without `canary` all requests move at once when all new replicas are ready."""

    canary: Canary | None = None
    shadow: Shadow | None = None


class Release(Frozen):
    """All that makes a replica: what it is told, and what it is given."""

    version: str
    number: int | None = None
    """Which version of its model it is, from 1."""
    order: dict[str, Any]
    resources: Resources
    convert_run: str | None = None
    """The run that converted its files for the engine; None where they are the version's own."""

    @property
    def adapters(self) -> dict[str, Served]:
        """What it serves beside the version, by name."""
        return {
            name: Served(**{field: told[field] for field in Served.model_fields})
            for name, told in self.order.get("adapters", {}).items()
        }

    @property
    def id(self) -> str:
        return digest.of_json([self.order, self.resources.what_is_given()])[:8]


class Progress(Frozen):
    """How far a release has come on its way to replace the one that serves. States: starting (replicas of the next
    step are coming up), stepping, full (it has done well, and the rest of its replicas is coming up), rolled-back."""

    release: str
    version: str
    number: int | None = None
    adapters: dict[str, Served] = Field(default_factory=dict)
    """Those that it serves in other versions than the release it is to replace, or that this one has not."""
    state: Literal["starting", "stepping", "full", "rolled-back"] = "starting"
    step: int = 0
    share: float = 0.0
    """Of the requests it gets now."""
    by: Literal["caller", "request"] = "caller"
    since: float = 0.0
    """When the step began."""
    looks: int = 0
    """How often it has been compared in this step."""
    look_at: int = 0
    """At so many of its requests it is compared next."""
    paused: bool = False
    wish: Literal["", "promote", "abort"] = ""
    """What somebody has asked for and is yet to be done."""
    why: str = ""
    """Why it was rolled back."""

    @property
    def trial(self) -> str:
        """What requests are counted under: they count for the step in which they came."""
        return f"{self.release}-{self.since:.3f}"
