"""What a caller may say of a request beside the request itself: which version is to answer, and what it belongs
to."""

from __future__ import annotations

import re
from functools import lru_cache

from modelhall.core.access import Identity
from modelhall.core.errors import Rejected
from modelhall.core.names import VERSION
from modelhall.gateway.finding import Wanted
from modelhall.gateway.messages import Request

VERSION_HEADER = b"x-hall-version"
"""`NAME@3` or `NAME@3f2a9c`; the answer says by the same header which version it is of."""
SESSION_HEADER = b"x-hall-session"
"""Any word for a conversation, or for one of many people behind one caller; what has the same stays together."""
_PINNED = re.compile(rf"(?P<name>[a-z0-9.:-]{{1,192}})@(?P<version>{VERSION})")


def pinned(request: Request, wanted: Wanted) -> Wanted:
    """The same service, in the version that the header asks for; raises Rejected when that is none of it."""
    value = request.headers.get(VERSION_HEADER)
    return wanted if value is None else wanted._replace(version=_version(value, wanted.called))


def source_of(request: Request, who: Identity) -> str:
    """Who asks, from where, or in which conversation."""
    session = request.headers.get(SESSION_HEADER)
    place = request.address if session is None else session.decode("latin-1")
    return f"{place} {who.name}"


@lru_cache(maxsize=1024)
def _version(value: bytes, name: str) -> str:
    text = value.decode("latin-1")
    match = _PINNED.fullmatch(text)
    field = VERSION_HEADER.decode()
    if match is None:
        raise Rejected(
            f"{text[:80]!r} names no version; write {name}@3, or {name}@3f2a9c by its id", field=field
        )
    if match["name"] != name:
        raise Rejected(f"{text!r} names a version of {match['name']!r}, and {name!r} is asked", field=field)
    return match["version"]
