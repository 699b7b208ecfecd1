"""One entry of the audit log, and the line it is written as.

A line is the canonical JSON of the entry (sorted keys, no spaces, what is not set left out) with a last member
added: `digest`, the SHA-256 of the bytes of that JSON as it was without it. So every byte of a line counts. An entry
holds no secret and no body of a request, but a digest of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field, ValidationError

from modelhall.core import digest
from modelhall.core.errors import Tampered
from modelhall.core.kinds.base import Frozen
from modelhall.trust.tokens import SHAPE

LONGEST_WORDS = 1000
DIGEST = re.compile(rb',"digest":"([0-9a-f]{64})"}')
DIGEST_BYTES = len(',"digest":""}') + 64


class Outcome(Frozen):
    """What became of what was meant to be done."""

    result: Literal["done", "refused", "failed"]
    status: int | None = None
    """As HTTP has it."""
    error: str = ""
    """The class of the error; never its words, which may quote what was sent."""
    revisions: dict[str, int] = Field(default_factory=dict)
    """Target → its revision afterwards."""


class Signature(Frozen):
    """What a head entry adds: a signature over everything before it (`heads.py`)."""

    key: str
    """Id of the public key."""
    signature: str
    """In hex."""


class Draft(Frozen):
    """An entry that has no place in the log yet."""

    sort: Literal["intent", "outcome", "note", "head"]
    """intent: somebody is about to do something; outcome: what became of it; note: something happened; head: a
    signature over all that stands before it."""
    at: float
    """Seconds since the epoch."""
    who: str
    address: str = ""
    """Where he asked from."""
    what: str
    targets: tuple[str, ...] = ()
    """What it was done to: paths such as `run/default/train`."""
    request: str = ""
    """A digest of all that was asked."""
    of: int | None = None
    """For an outcome: the number of its intent."""
    outcome: Outcome | None = None
    detail: dict[str, str] = Field(default_factory=dict)
    """For a note: what else there is to say."""
    signed: Signature | None = None


class Entry(Draft):
    """An entry in its place."""

    number: int
    """Counts from 1, without a gap."""
    previous: str
    """Digest of the entry before; zeros before the first."""
    digest: str


def draft(
    sort: Literal["intent", "outcome", "note"],
    *,
    at: float,
    who: str,
    what: str,
    address: str = "",
    targets: Iterable[str] = (),
    request: str = "",
    of: int | None = None,
    outcome: Outcome | None = None,
    detail: Mapping[str, str] | None = None,
) -> Draft:
    """A draft of words that strangers may have chosen: cut to a length, without tokens, and valid text."""
    return Draft(
        sort=sort,
        at=round(at, 3),
        who=_words(who),
        address=_words(address),
        what=_words(what),
        targets=tuple(map(_words, targets)),
        request=_words(request),
        of=of,
        outcome=outcome,
        detail={_words(name): _words(value) for name, value in (detail or {}).items()},
    )


def encode(drafted: Draft, *, number: int, previous: str) -> tuple[bytes, str]:
    """The line of a draft in its place, and its digest."""
    said = drafted.model_dump(mode="json", exclude_defaults=True)
    body = digest.canonical({**said, "number": number, "previous": previous})
    own = digest.of_bytes(body)
    return body[:-1] + b',"digest":"' + own.encode() + b'"}', own


def decode(line: bytes, *, number: int) -> Entry:
    """The entry in a line that should be entry `number`; raises Tampered when the line is none, or has another
    digest than it says."""
    match = DIGEST.fullmatch(line[-DIGEST_BYTES:])
    if match is None:
        raise Tampered(
            f"entry {number} is no entry any more: its line does not end in a digest", entry=number
        )
    found = digest.of_bytes(line[:-DIGEST_BYTES] + b"}")
    if found != match[1].decode():
        raise Tampered(
            f"entry {number} was changed: its content has the digest {found[:12]}…, and it says "
            f"{match[1].decode()[:12]}…",
            entry=number,
        )
    try:
        return Entry.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise Tampered(
            f"entry {number} is no entry, though it has a digest: {where}: {problem['msg']}", entry=number
        ) from None


def _words(text: str) -> str:
    valid = text.encode(errors="replace").decode()
    hidden = re.sub(SHAPE, "mh_…", valid)
    return hidden if len(hidden) <= LONGEST_WORDS else hidden[: LONGEST_WORDS - 1] + "…"
