"""The route that reads a hall file for whoever has no reader of YAML: editors in browsers, and programs elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from modelhall.core import hallfile
from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen

router = APIRouter(prefix="/api/v1")

FILE = "hall.yaml"


class Written(Frozen):
    """A hall file."""

    text: str = Field(max_length=hallfile.MAX_BYTES)


class Mistake(Frozen):
    """What is wrong with it."""

    message: str
    field: str | None
    line: int | None


class Read(Frozen):
    """What it declares, as `POST /api/v1/apply` takes it; or the first mistake in it."""

    documents: list[dict[str, Any]] = Field(default_factory=list)
    lines: list[dict[str, int]] = Field(
        default_factory=list, description="Of each document: dotted path of a field → its line, from 1."
    )
    mistake: Mistake | None = None


@router.post("/hall-file")
async def read(written: Written) -> Read:
    """Read a hall file; declare nothing. A relative path in it is one on the hall's machine."""
    try:
        declared = hallfile.parse(written.text, FILE)
    except Rejected as error:
        return Read(mistake=Mistake(message=error.message, field=error.field, line=error.line))
    return Read(
        documents=[
            one.document.model_dump(mode="json", exclude_defaults=True) | {"kind": one.document.kind}
            for one in declared
        ],
        lines=[{".".join(path): line for path, line in one.lines.items()} for one in declared],
    )
