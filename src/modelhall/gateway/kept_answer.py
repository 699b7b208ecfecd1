"""An answer as it is kept, and the name it is found by, which is made of what was asked."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from modelhall.gateway.messages import Headers, Request
from modelhall.gateway.reckoning import json_object

FORM = "1"
"""Of what `encoded` writes: another one is not found under the same names."""
ABOUT = (b"accept", b"content-encoding", b"content-type", b"inference-header-content-length")
"""Headers that say how a body is to be read, and its answer to be written."""
ASIDE = frozenset(("metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user"))
"""Fields that no answer depends on."""
LARGEST_READ = 2**20
"""A larger body is taken byte for byte, and not put in order first."""


class Kept(NamedTuple):
    """What an answer was, and what it took."""

    version: str
    """Of the model."""
    headers: Headers
    body: bytes
    streamed: bool
    tokens_in: int | None
    tokens_out: int | None


def name_of(
    key: bytes, place: Iterable[str], request: Request, body: bytes, message: Mapping[str, Any] | None
) -> str:
    """What an answer is found by: `place` is the service, the version and the adapter that it is one of. Two requests
    have the same name only if they ask for the same, and nobody without `key` can tell what was asked."""
    asked = [_word(request.path), *(_word(request.headers.get(name, b"")) for name in ABOUT)]
    digest = hmac.new(key, json.dumps([FORM, *place, *asked]).encode() + b"\0", "sha256")
    digest.update(_canonical(body, message))
    return digest.hexdigest()


def encoded(kept: Kept) -> bytes:
    """As bytes."""
    about = kept._asdict()
    del about["body"]
    about["headers"] = [(_word(header), _word(value)) for header, value in kept.headers]
    return json.dumps(about).encode() + b"\n" + kept.body


def decoded(data: bytes) -> Kept:
    """What was encoded."""
    first, _, body = data.partition(b"\n")
    about = json.loads(first)
    headers = tuple(
        (header.encode("latin-1"), value.encode("latin-1")) for header, value in about.pop("headers")
    )
    return Kept(**about, headers=headers, body=body)


def _canonical(body: bytes, message: Mapping[str, Any] | None) -> bytes:
    """The same bytes for bodies that ask for the same."""
    if message is None and len(body) <= LARGEST_READ:
        message = json_object(body)
    if message is None:
        return body
    said = {name: value for name, value in message.items() if name not in ASIDE}
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _word(value: bytes) -> str:
    return value.decode("latin-1")
