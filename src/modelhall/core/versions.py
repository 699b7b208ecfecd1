"""Which version somebody means: `reviews@2` is the second that was made, `reviews@3f2a` the one whose id begins so.

Versions stand in the order in which they were made and none ever leaves its place, so a number means the same for
ever. What may be written is said by `core/names.py`: up to three digits are a number, four and more begin an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

LONGEST_NUMBER = 3
"""Digits; as an id is named by at least one more, nothing can be read in two ways."""


class HasId(Protocol):
    @property
    def id(self) -> str: ...


V = TypeVar("V", bound=HasId)


def named(versions: Sequence[V], word: str, of: str) -> tuple[V | None, str]:
    """The version of `of` that `word` names, or why it names none, or more than one."""
    if len(word) <= LONGEST_NUMBER and word.isdecimal():
        if 0 < int(word) <= len(versions):
            return versions[int(word) - 1], ""
        return None, f"{of} has no version {word}; it has {_there(versions)}"
    found = [version for version in versions if version.id.startswith(word)]
    if len(found) == 1:
        return found[0], ""
    if found:
        ids = ", ".join(f"{number_of(versions, version)} ({version.id[:12]})" for version in found)
        return None, f"{of} has several versions whose ids begin with {word}: {ids}; say more of it"
    return None, f"{of} has no version {word}; it has {_there(versions)}"


def is_meant(word: str, id: str, number: int | None) -> bool:
    """Whether `word` names the version with this id, which is the one of this number if that is known."""
    if len(word) <= LONGEST_NUMBER and word.isdecimal():
        return number == int(word)
    return id.startswith(word)


def number_of(versions: Sequence[V], version: V) -> int:
    """Which of them it is, from 1."""
    return [one.id for one in versions].index(version.id) + 1


def _there(versions: Sequence[HasId]) -> str:
    shown = [f"{number} ({version.id[:8]})" for number, version in enumerate(versions, start=1)]
    return ", ".join(shown[-10:]) or "none yet"
