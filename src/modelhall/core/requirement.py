"""Requirements: the figures a model must reach before a version of it is accepted."""

from __future__ import annotations

import math
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
    """Say each requirement that is not met as `accuracy 0.81 < 0.85`; empty when all are. One of `accuracy[sex]` is
    met by every slice by that column."""
    said = []
    for name, text in require.items():
        wanted = parse(text)
        found = {one: metrics[one] for one in metrics if one == name or _is_slice(one, name)}
        if not found:
            said.append(f"{name} was not measured")
        said += [f"{one} {_miss(value, wanted)}" for one, value in found.items() if not wanted.met_by(value)]
    return said


def lost(
    require: Mapping[str, str], before: Mapping[str, float], after: Mapping[str, float], keep: float
) -> list[str]:
    """Say each required metric of which less than the share `keep` is left; empty when enough is left of all."""
    said = []
    for name, share in kept(require, before, after).items():
        if name not in after:
            said.append(f"{name} was not measured")
        elif not share >= keep:
            said.append(
                f"{name} went from {before[name]:.4g} to {after[name]:.4g}, {share:.2%} of {keep:.2%}"
            )
    return said


def kept(
    require: Mapping[str, str], before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, float]:
    """Which share of each required metric is left, at most 1. Half is left of an accuracy that is half as high, and
    of a loss that is twice as high."""
    return {
        one: _share(before[one], after.get(one, math.nan), is_high=parse(text).sign.startswith(">"))
        for name, text in require.items()
        for one in before
        if one == name or _is_slice(one, name)
    }


def _share(was: float, now: float, *, is_high: bool) -> float:
    worse = was - now if is_high else now - was
    if worse <= 0:
        return 1.0
    if not is_high and was > 0:
        return was / now
    return 1 - worse / abs(was) if was else 0.0


def metric_of(name: str) -> str:
    """The metric that is required: of `accuracy[sex=Female]` accuracy."""
    return name.partition("[")[0]


def slice_of(name: str) -> str | None:
    """The column whose slices are required: of `accuracy[sex]` and `accuracy[sex=Female]` sex. None for the whole."""
    _, bracket, rest = name.partition("[")
    return rest.rstrip("]").partition("=")[0] if bracket else None


def _is_slice(name: str, required: str) -> bool:
    """Whether a metric's name is that of a slice by the required column."""
    return required.endswith("]") and "=" not in required and name.startswith(f"{required[:-1]}=")


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
