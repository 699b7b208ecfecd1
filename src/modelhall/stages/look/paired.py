"""Two versions of a model, row by row."""

from __future__ import annotations

from typing import Any

from modelhall.core.errors import Rejected
from modelhall.core.files import read_json
from modelhall.core.looking import Question
from modelhall.stages.evaluate import paired, rows
from modelhall.stages.look import unpacked


def answer(question: Question) -> dict[str, Any]:
    """Each figure of both, from their evaluations. Raises Rejected unless both were measured on the same rows."""
    first, second = question.artifacts
    with unpacked(question, first) as one, unpacked(question, second) as other:
        measured_on = [(read_json(folder / "evaluation.json") or {}).get("data") for folder in (one, other)]
        if measured_on[0] != measured_on[1]:
            raise Rejected("they were measured on different versions of the data", field="version")
        before, after = rows.read(one), rows.read(other)
    try:
        figures = paired.compare(before, after)
    except ValueError as error:
        raise Rejected(f"{error}, so they cannot be compared row by row", field="version") from None
    return {
        "rows": len(before.loss),
        "figures": {name: figure.model_dump(mode="json") for name, figure in figures.items()},
    }
