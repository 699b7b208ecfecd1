"""JSON that lies in an artifact: small, strict, an object. For files that a stage wrote and somebody else may have
changed or made; what comes over a network is read by `strict_json` itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelhall.core import strict_json
from modelhall.core.errors import Broken, Rejected

MOST_BYTES = 4 << 20


def read(path: Path, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The object in `path`. Raises Broken when there is no such file, Rejected when it is too large, no strict JSON,
    or no object."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise Broken(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > most_bytes:
        raise Rejected(f"{path.name} has more than {most_bytes} bytes, as no file of its kind has")
    try:
        value = strict_json.loads(data)
    except Rejected as error:
        raise Rejected(f"{path.name} is {error.message}") from None
    if not isinstance(value, dict):
        raise Rejected(f"{path.name} is not an object but begins with {data[:8]!r}")
    return value
