"""Errors in the shape of the OpenAI API, which gateway and replicas share:
`{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from typing import Any

from modelhall.core.errors import HallError, OverBudget

PREFIX = "/v1"
"""Paths below it are answered in this shape."""

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def is_below(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def shaped(error: HallError) -> dict[str, Any]:
    """An error as clients of the OpenAI API read it."""
    code = None
    if error.status == 404 and error.field == "model":
        code = "model_not_found"
    elif isinstance(error, OverBudget):
        code = "insufficient_quota"
    return body(error.message, error.status, param=error.field, code=code)


def body(message: str, status: int, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The same of an error that is in words only."""
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}}
