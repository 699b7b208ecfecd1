"""`compress` of a model: by which methods it is made smaller, what that may cost, and what came of it."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, model_validator

from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.choice import WrittenChoice

_WORDS: dict[str, dict[str, Any]] = {"int8": {"bits": 8}, "int4": {"bits": 4}}
"""What may be written for the options of a method: `quantize: int8`."""


class Compress(Frozen):
    """In a hall file a list of methods, or a mapping of them with `keep` and `search` beside them."""

    methods: tuple[WrittenChoice, ...] = Field(
        default=(), description="Files in stages/compress/methods, in order, such as `prune: 0.3`."
    )
    keep: float = Field(
        default=0.99, gt=0, le=1, description="Share of every required metric that is to be left."
    )
    search: bool = Field(
        default=False, description="Whether other ways are tried, and the best within the contract is taken."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_hall_file(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            value = {"methods": value}
        if not isinstance(value, dict):
            return value
        own = {name: value[name] for name in cls.model_fields if name in value}
        beside = [{name: options} for name, options in value.items() if name not in cls.model_fields]
        methods = tuple(_spelled_out(method) for method in (*own.get("methods", ()), *beside))
        if not methods and not own.get("search"):
            raise ValueError("a method is expected, such as `quantize: int8`, or `search: true`")
        return {**own, "methods": methods}


def _spelled_out(method: Any) -> Any:
    """A method whose options are told by one word or number, with their names."""
    if not isinstance(method, dict) or len(method) != 1:
        return method
    ((name, options),) = method.items()
    if isinstance(options, str):
        if options not in _WORDS:
            raise ValueError(
                f"{name} is told by {', '.join(_WORDS)} or its options below it, not {options!r}"
            )
        return {name: _WORDS[options]}
    if isinstance(options, int | float) and not isinstance(options, bool):
        return {name: {"share": float(options)}}
    return method


WrittenCompress = Annotated[
    Compress, WithJsonSchema({"anyOf": [{"type": "array"}, {"type": "object"}, {"type": "null"}]})
]


class Way(Frozen):
    """One way to compress a model, and what it was measured to give on the machine that tried it."""

    name: str
    """Its methods in words, such as `prune 0.3, quantize 8`; `as trained` for none."""
    size_bytes: int
    """Of the whole artifact."""
    row_ms: float
    """Processor time for one row…"""
    batch_ms: float
    """… and for a batch, through the engine that serves it."""
    kept: float | None = None
    """The smallest share of a required metric that is left, on the rows it was chosen by; None where nothing was to
    be chosen."""
    refusal: str = ""
    """Why it may not be served, such as that it is slower; empty when it may."""
    front: bool = False
    """Whether no other way is at least as small, as fast and as good, and better in one of them."""

    @property
    def time_ms(self) -> float:
        """One figure of both times: their geometric mean."""
        return math.sqrt(self.row_ms * self.batch_ms)


class Compression(Frozen):
    """How a version came to be smaller than it was trained."""

    run: str
    keep: float
    metrics: dict[str, float]
    """Those of the model as it was trained, on the test split."""
    ways: tuple[Way, ...]
    """All that were tried, the model as it was trained first."""
    chosen: int
    """Which of them this version is."""
