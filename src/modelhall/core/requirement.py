"""Requirements: the figures a model must reach before a version of it is accepted."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_OPPOSITE = {">=": "<", "<=": ">", ">": "<=", "<": ">="}
_PATTERN = re.compile(r"\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """`>= 0.85` taken apart."""

    sign: str
    bound: float

    def met_by(self, value: float) -> bool:
        """Whether `value` satisfies this; NaN never does."""
        return _COMPARE[self.sign](value, self.bound)


def parse(text: str) -> Requirement:
    """Read `>= 0.85`; raises ValueError when it is not a comparison with a number."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a requirement: write a comparison such as '>= 0.85'")
    return Requirement(sign=match[1], bound=float(match[2]))


def unmet(require: Mapping[str, str], metrics: Mapping[str, float]) -> list[str]:
    """Say each requirement that is not met as `accuracy 0.81 < 0.85`; empty when all are."""
    said = []
    for name, text in require.items():
        wanted = parse(text)
        value = metrics.get(name)
        if value is None:
            said.append(f"{name} was not measured")
        elif not wanted.met_by(value):
            said.append(f"{name} {_miss(value, wanted)}")
    return said


def _miss(value: float, wanted: Requirement) -> str:
    """Both figures, with four decimals or as many as it takes to see that one misses the other."""
    opposite = _OPPOSITE[wanted.sign]
    for digits in range(4, 17):
        shown, bound = _show(value, digits), _show(wanted.bound, digits)
        if not Requirement(sign=wanted.sign, bound=float(bound)).met_by(float(shown)):
            return f"{shown} {opposite} {bound}"
    return f"{value!r} {opposite} {wanted.bound!r}"


def _show(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _check(text: str) -> str:
    parse(text)
    return text


RequirementText = Annotated[str, AfterValidator(_check)]
