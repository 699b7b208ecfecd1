"""`result`: what a stage computed for one key, kept so that it is never computed again.

Not one of the nouns people declare: the hall writes it when a run succeeds and reads it before it starts one.
Its name is `k-` and the key's digest, so it is found without a search and never twice.
"""

from __future__ import annotations

from typing import Any, Literal

from modelhall.core.kinds.base import Document, Resource, Status


class Result(Document):
    kind: Literal["result"] = "result"
    run: str
    output: dict[str, Any]


def result_name(key: str) -> str:
    """The name of the result for the stage key `key` (hex digest)."""
    return f"k-{key[:48]}"


ResultResource = Resource[Result, Status]
