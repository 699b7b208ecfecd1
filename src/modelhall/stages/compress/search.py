"""Which ways are tried, and which of them is taken: decisions over what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.compression import Way

NOISE = 1.05
"""Two measurements of the same differ by less."""

_INT8 = Choice(name="quantize", options={"bits": 8})
_TRIED: tuple[tuple[Choice, ...], ...] = (
    (Choice(name="export"),),
    (_INT8,),
    (Choice(name="quantize", options={"bits": 8, "weights_only": True}),),
    (Choice(name="quantize", options={"bits": 4}),),
    (Choice(name="prune", options={"share": 0.3}), _INT8),
    (Choice(name="prune", options={"share": 0.6}), _INT8),
)


def ways(asked: tuple[Choice, ...]) -> list[tuple[Choice, ...]]:
    """What is asked for, and what usually is worth a try."""
    return [*([asked] if asked else []), *(one for one in _TRIED if one != asked)]


def unless_slower(way: Way, trained: Way) -> Way:
    """With a refusal if it takes longer than the model as it was trained, for a row or for a batch."""
    slower = [
        f"{what} takes {now:.3g} ms and took {was:.3g}"
        for what, now, was in (
            ("a row", way.row_ms, trained.row_ms), ("a batch", way.batch_ms, trained.batch_ms),
        )
        if now > NOISE * was
    ]  # fmt: skip
    return way.model_copy(update={"refusal": ", ".join(slower)}) if slower else way


def judged(ways: Sequence[Way], shares: Sequence[float], *, keep: float) -> list[Way]:
    """With what is left of the metrics, a refusal where that is too little, and the front marked."""
    known = [
        way.model_copy(update={"kept": share, "refusal": way.refusal or _too_little(share, keep)})
        for way, share in zip(ways, shares, strict=True)
    ]
    return [way.model_copy(update={"front": not any(_beats(other, way) for other in known)}) for way in known]


def best(ways: Sequence[Way]) -> int:
    """The number of the way with the smallest size and time, multiplied, of those that may be served; where none may,
    of the one that keeps the most. The first, which is none, is not among them."""
    numbers = range(1, len(ways))
    allowed = [number for number in numbers if not ways[number].refusal]
    if not allowed:
        return max(numbers, key=lambda number: ways[number].kept or 0.0)
    return min(allowed, key=lambda number: ways[number].size_bytes * ways[number].time_ms)


def _too_little(share: float, keep: float) -> str:
    return "" if share >= keep else f"keeps {share:.2%} of {keep:.2%}"


def _beats(one: Way, other: Way) -> bool:
    """Whether `one` is as good in everything and better in something (Pareto)."""
    mine, its = ((way.size_bytes, way.time_ms, -(way.kept or 0.0)) for way in (one, other))
    return all(a <= b for a, b in zip(mine, its, strict=True)) and mine != its
