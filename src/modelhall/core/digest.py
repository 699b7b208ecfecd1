"""Content addresses: the same content has the same name on any machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def of_json(value: Any) -> str:
    """SHA-256, in hex, of the canonical JSON form of `value`."""
    return of_bytes(canonical(value))


def canonical(value: Any) -> bytes:
    """The one JSON form of `value` that digests are taken of: sorted keys, no spaces, no NaN, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def of_bytes(data: bytes) -> str:
    """SHA-256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()
