"""The words of the console, one file a language in `words/`, and which language a visitor reads.

What the hall itself says (reasons, errors, what a document means) stands in English, as everywhere.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("words")
FIRST = "en"
NAMES = {"en": "English", "zh": "中文"}
COOKIE = "hall_language"


class Words(NamedTuple):
    """One language."""

    language: str
    known: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The words for a key such as `runs.none`, with values put in; KeyError where there are none."""
        return self.known[key].format(**values) if values else self.known[key]

    def state(self, state: str) -> str:
        """A word of the hall's for a state; as it is where there is none in this language."""
        return self.known.get(f"state.{state}", state)


def words_for(cookie: str | None, accepted: str) -> Words:
    """The language a visitor has chosen, else the first of those his browser asks for that is known."""
    if cookie in WORDS:
        return WORDS[cookie]
    asked = (part.partition(";")[0].strip().lower().partition("-")[0] for part in accepted.split(","))
    return next((WORDS[language] for language in asked if language in WORDS), WORDS[FIRST])


def _read(language: str) -> Words:
    with (FOLDER / f"{language}.toml").open("rb") as file:
        return Words(language, tomllib.load(file))


WORDS = {language: _read(language) for language in NAMES}
