"""Where figures are kept over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The figures of one subject at one instant."""

    subject: str
    """`node/default/n1`, `run/PROJECT/NAME`, `service/PROJECT/NAME`, `hall`."""
    at: float
    """In seconds since the epoch."""
    values: Mapping[str, float]
    """By name; one of several is `name:part`."""


class Span(NamedTuple):
    """What a figure was in one step of time."""

    at: float
    """When the step begins."""
    mean: float
    least: float
    most: float


class History(Protocol):
    """A bounded memory: what is older is kept at wider steps, and the oldest is let go of.

    Methods raise NotNow when it cannot be reached, Full when the disk is full.
    """

    async def append(self, frames: Sequence[Frame]) -> None:
        """Keep frames, so that they outlive this process."""
        ...

    async def read(self, subject: str, name: str, *, since: float, until: float, step_s: float) -> list[Span]:
        """A figure from `since` to `until`, one span for each step in which it was known, oldest first."""
        ...

    async def names(self, subject: str) -> list[str]:
        """The figures that are known of a subject, sorted."""
        ...

    async def subjects(self) -> list[str]:
        """All of whom something is known, sorted."""
        ...

    async def close(self) -> None: ...
