"""What a version tells of itself: its dataset.json."""

from __future__ import annotations

from typing import Any

from modelhall.core.errors import NotFound
from modelhall.core.files import read_json
from modelhall.core.looking import Question
from modelhall.stages.look import unpacked


def answer(question: Question) -> dict[str, Any]:
    """The record of one artifact. Raises NotFound where it has none."""
    with unpacked(question, question.artifacts[0]) as folder:
        found = read_json(folder / "dataset.json")
    if found is None:
        raise NotFound("this version has no record of how it was made; prepared anew, it has one")
    return dict(found)
