"""The OpenAPI document: what FastAPI knows of the routes, and what holds for all of them before they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from modelhall.doors.api.answers import DOCUMENTED

PATTERNS = {
    "query": r"^[^\u0000-\u001f\u007f-\u009f]*$",
    "path": "^[A-Za-z0-9._~:@-]*[A-Za-z0-9_~:@-]$",
}
"""What `core/request_head.py` lets through, of any text in these places."""


def install(api: FastAPI) -> None:
    """Have the document say of every parameter that is text what `heads.py` asks of it, and of errors that they are
    JSON, also where the answer itself is a page or text."""
    of_routes = api.openapi

    def whole() -> dict[str, Any]:
        document = of_routes()
        for place, schema in _texts(document):
            schema.setdefault("pattern", PATTERNS[place])
        for error in _errors(document):
            (schema,) = error["content"].values()
            error["content"] = {"application/json": schema}
        return document

    api.openapi = whole  # type: ignore[method-assign]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        yield from operations.values()


def _errors(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operation in _operations(document):
        yield from (operation["responses"][status] for status in map(str, DOCUMENTED))


def _texts(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each parameter that is text, and where it stands."""
    for operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] in PATTERNS:
                yield from ((parameter["in"], schema) for schema in _branches(parameter["schema"]))


def _branches(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if schema.get("type") == "string" and "enum" not in schema and "const" not in schema:
        yield schema
    for inner in (*schema.get("anyOf", ()), schema.get("items")):
        if inner:
            yield from _branches(inner)
