"""Answers and what was wanted, as metrics of texts take them."""

from __future__ import annotations

import re

from modelhall.tasks import Predictions

_CHINESE = "\u3400-\u9fff"
_WORD = re.compile(rf"[{_CHINESE}]|[^\W{_CHINESE}]+")


def told_and_wanted(predictions: Predictions) -> tuple[list[str], list[str]]:
    """All that was told, and all that was wanted."""
    assert predictions.answered is not None
    return [one.told for one in predictions.answered], [one.wanted for one in predictions.answered]


def is_chinese(texts: list[str]) -> bool:
    """Whether there are characters in them with no blanks between words."""
    return any(re.search(f"[{_CHINESE}]", text) for text in texts)


class Words:
    """Words in lower case; a Chinese character is one."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())
