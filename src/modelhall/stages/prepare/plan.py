"""Which steps run in one pass over the rows: a part begins with each step that has to look at all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import polars as pl

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.dataset import Step
from modelhall.stages.prepare.steps import Done

Looks = Literal["nowhere", "at training", "at all"]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A step in its place."""

    number: int
    name: str
    options: dict[str, Any]

    @property
    def module(self) -> ModuleType:
        return plugins.load("step", self.name, field=self._field)

    @property
    def looks(self) -> Looks:
        """Which rows it has to see before it can change or judge any."""
        if hasattr(self.module, "decide"):
            return "at all"
        return "at training" if hasattr(self.module, "fit") else "nowhere"

    @property
    def has_examples(self) -> bool:
        """Whether rows that it drops may be shown."""
        return True

    def call(self, function: str, *given: Any) -> Any:
        """Call one of its functions with those of the options that it takes. What the step rejects is blamed on
        its place in the hall file."""
        with self.blamed():
            options = plugins.options_for("step", self.name, function, self.options)
            return getattr(self.module, function)(*given, **options)

    def apply(self, rows: pl.DataFrame, fitted: Any) -> Done:
        """`fitted` is what its `fit` returned, if it has one."""
        done: Done = self.call("apply", rows, *([fitted] if hasattr(self.module, "fit") else []))
        return done

    @contextlib.contextmanager
    def blamed(self, option: str | None = None) -> Iterator[None]:
        """Have what is rejected here blamed on this step, or on one of its options."""
        try:
            yield
        except Rejected as error:
            named = error.field or option
            raise Rejected(error.message, field=f"{self._field}.{named}" if named else self._field) from None

    @property
    def _field(self) -> str:
        return f"prepare.{self.number}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One pass over all rows."""

    begins: Planned | None
    """The step that looked at the marks taken before; if it was fitted, it is also the first to be applied."""
    applied: tuple[Planned, ...]
    marks: Planned | None
    """The step that marks are taken for, at the end."""

    def __str__(self) -> str:
        first = [self.begins] if self.begins and self.begins not in self.applied else []
        return ", ".join(step.name for step in (*first, *self.applied)) or "write"


def plan(steps: Sequence[Step]) -> list[Part]:
    """The parts, in order; at least one. Raises Rejected for a step or an option that is not there, and for a step
    that would be fitted before the rows for training are known."""
    planned = [
        Planned(number=number, name=step.name, options=step.options) for number, step in enumerate(steps)
    ]
    for step in planned:
        field = f"prepare.{step.number}.{step.name}"
        plugins.check_options("step", step.name, plugins.STEP, step.options, field=field)
        later = [other.name for other in planned[step.number + 1 :]]
        if step.looks == "at training" and "split" in later:
            with step.blamed():
                raise Rejected("it is fitted on the rows for training; let it follow `split`")
        if hasattr(step.module, "vary"):
            _check_last(step, planned[step.number + 1 :])
    parts: list[Part] = []
    begins: Planned | None = None
    applied: list[Planned] = []
    for step in planned:
        if step.looks == "nowhere":
            applied.append(step)
            continue
        parts.append(Part(begins=begins, applied=tuple(applied), marks=step))
        begins, applied = step, [step] if step.looks == "at training" else []
    return [*parts, Part(begins=begins, applied=tuple(applied), marks=None)]


def _check_last(step: Planned, later: Sequence[Planned]) -> None:
    """Raise Rejected if rows are changed behind a step that varies them: it is done to what lies in the version."""
    changing = next((o for o in later if hasattr(o.module, "apply") and not hasattr(o.module, "vary")), None)
    if changing is not None:
        with step.blamed():
            raise Rejected(
                f"it is done while a model learns, to rows as they are when all is prepared; let it follow "
                f"`{changing.name}`"
            )
