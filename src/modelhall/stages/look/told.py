"""What is told of models in artifacts of their own: how they were trained, and how they were measured."""

from __future__ import annotations

from typing import Any

from modelhall.core.errors import NotFound
from modelhall.core.files import read_json
from modelhall.core.looking import Question
from modelhall.stages.look import unpacked

FILES = ("record.json", "evaluation.json")
"""One of them is in each; `stages/train/record.py` and `stages/evaluate/details.py` write them."""


def answer(question: Question) -> list[dict[str, Any]]:
    """What each artifact tells, in their order. Raises NotFound where one tells nothing."""
    return [_told(question, artifact) for artifact in question.artifacts]


def _told(question: Question, artifact: str) -> dict[str, Any]:
    with unpacked(question, artifact) as folder:
        for name in FILES:
            if (found := read_json(folder / name)) is not None:
                return dict(found)
    raise NotFound(f"{artifact[:12]} tells nothing of a training or a measuring")
