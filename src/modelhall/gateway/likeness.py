"""Whether two answers to one request say the same, as far as that can be told: of the Open Inference Protocol
whatever is no fraction, such as labels, or else fractions that nearly agree; of OpenAI's the texts."""

from __future__ import annotations

import math
from typing import Any

from modelhall.core import strict_json
from modelhall.core.errors import Rejected

RELATIVE = 0.01
"""So far fractions may be apart and still be called the same."""
FRACTIONS = ("FP16", "BF16", "FP32", "FP64")


def alike(one: bytes, other: bytes) -> bool | None:
    """Whether they say the same; None where nothing in them can be compared."""
    said, also_said = _said(one), _said(other)
    return None if said is None or also_said is None else _same(said, also_said)


def _said(body: bytes) -> Any:
    """What of an answer counts; None where there is no such thing."""
    try:
        answer = strict_json.loads(body)
    except Rejected:
        return None
    if not isinstance(answer, dict):
        return None
    if isinstance(outputs := answer.get("outputs"), list):
        words = [out.get("data") for out in outputs if out.get("datatype") not in FRACTIONS]
        return words or [out.get("data") for out in outputs]
    if isinstance(choices := answer.get("choices"), list):
        return [choice.get("text") or choice.get("message", {}).get("content") for choice in choices]
    return None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=1e-6)
    return bool(one == other)
