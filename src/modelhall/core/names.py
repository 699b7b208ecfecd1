"""Names: what may be one, and what a misspelt one probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from modelhall.core.errors import Rejected

PATTERN = r"[a-z][a-z0-9-]{0,62}"
"""What a name looks like."""
VERSION = r"[1-9][0-9]{0,2}|[0-9a-f]{4,64}"
"""What names a version of something: its number, or how its id begins."""
LONGEST_GUESSED = 100
"""A longer word is no misspelt one; to compare it with all that there is would be work without end."""

_NAME = re.compile(PATTERN)
_REFERENCE = re.compile(rf"(?P<name>{PATTERN})(@(?P<version>{VERSION}))?")


def is_name(value: str) -> bool:
    """Whether `value` may name a resource."""
    return _NAME.fullmatch(value) is not None


def check_name(value: str) -> str:
    """Return `value` if it may name a resource; raises ValueError otherwise."""
    if not is_name(value):
        raise ValueError(
            f"{value!r} is not a name: lower-case letters, digits and '-', at most 63, a letter first"
        )
    return value


def check_reference(value: str) -> str:
    """Return `value` if it is `name` or `name@version`; raises ValueError otherwise."""
    if not _REFERENCE.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a reference: write name, name@2 for its second version, or name@3f2a with 4 to 64 "
            "digits of a version's id"
        )
    return value


def split_reference(value: str) -> tuple[str, str | None]:
    """`reviews@3f2a` → (`reviews`, `3f2a`), `reviews@2` → (`reviews`, `2`), `reviews` → (`reviews`, None). Which
    version that is, `core/versions.py` says."""
    match = _REFERENCE.fullmatch(value)
    if match is None:
        raise Rejected(f"{value!r} is not a reference: write name, name@2 or name@3f2a")
    return match["name"], match["version"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence end that helps: the closest known word, or the list of all."""
    known = sorted(known)
    close = difflib.get_close_matches(word[:LONGEST_GUESSED], known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(known[:40]) + (f" and {len(known) - 40} more" if len(known) > 40 else "")
    return f"there is: {shown}" if known else "there is none"


Name = Annotated[
    str, AfterValidator(check_name), WithJsonSchema({"type": "string", "pattern": f"^{PATTERN}$"})
]
Reference = Annotated[str, AfterValidator(check_reference)]
