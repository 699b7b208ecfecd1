"""`search:` of a model: which of its fields are tried with which values, and how often.

What a trial is trained as, `core/searching.py` says; which values come next is left to `stages/search.py`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from modelhall.core.kinds.base import Frozen

MOST_TRIALS = 200

EXPECTED = "a list of values is expected, or a range such as {low: 1e-4, high: 1e-2}"
Number = int | float


class Range(Frozen):
    """In a hall file a list of values, or the ends of a range."""

    values: tuple[Any, ...] | None = Field(default=None, min_length=1, max_length=1000)
    low: Number | None = None
    high: Number | None = None
    log: bool = Field(default=False, description="Try orders of magnitude alike, such as of learning rates.")
    step: Number | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_hall_file(cls, value: Any) -> Any:
        given = {"values": value} if isinstance(value, list | tuple) else value
        if not isinstance(given, dict | Range):
            raise ValueError(EXPECTED)
        if isinstance(given, dict) and isinstance(given.get("values"), list):
            return {**given, "values": tuple(given["values"])}
        return given

    @model_validator(mode="after")
    def _check(self) -> Range:
        if self.values is not None:
            if self.log or any(end is not None for end in (self.low, self.high, self.step)):
                raise ValueError("a list of values has no ends and no steps")
            return self
        if self.low is None or self.high is None:
            raise ValueError(EXPECTED)
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g}, which is not below high, {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("with `log` there are no steps, and low is above 0")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are tried: both ends are written as such, `1` and not `1.0`."""
        return all(isinstance(end, int) for end in (self.low, self.high, self.step or 1))

    @property
    def samples(self) -> tuple[Any, ...]:
        """The values, or the ends of the range: if a field takes these, it takes all."""
        return (self.low, self.high) if self.values is None else self.values


class Search(Frozen):
    """By which trials the model is looked for."""

    over: dict[str, Range] = Field(
        min_length=1,
        max_length=50,
        description="Fields such as `train.learning_rate` and `network.hidden`: a list of values, or "
        "{low: …, high: …, log: …, step: …}.",
    )
    budget: int = Field(default=20, ge=1, le=MOST_TRIALS, description="How many trials there are.")
    parallel: int = Field(default=2, ge=1, le=64, description="How many trials run at a time.")
    seed: int = Field(default=1, ge=0)
    prune: bool = Field(
        default=True, description="Whether trials are stopped that are worse than half of them."
    )


class TrialReport(Frozen):
    """One trial, as it stands."""

    number: int
    """From 1."""
    values: dict[str, Any]
    state: Literal["waiting", "running", "done", "pruned", "failed"]
    validated: float | None = None
    """The best validation so far as it is known."""
    run: str | None = None
    why: str = ""
    """What made it fail."""


class SearchReport(Frozen):
    """A search, as it stands. Nothing is decided by it: it is made anew of the trials' results."""

    metric: str = ""
    """What trials are compared by, of the validation split."""
    trials: tuple[TrialReport, ...] = ()
    best: int | None = None
    """Number of the trial that became the version."""
    importances: dict[str, float] = Field(default_factory=dict)
    """How much of the difference between trials is by each field; together 1."""
