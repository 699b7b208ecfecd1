"""Errors as answers: one shape for all of them, `{"error": {message, who, field, document}}`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from modelhall.control.declare import Refusal
from modelhall.core.errors import Broken, HallError, NotNow, Rejected

LONGEST_MESSAGE = 2000


class Told(BaseModel):
    """An error, in words and in what a program can go by."""

    message: str
    who: str = Field(description="Who must act: the caller, time (ask again), or us.")
    field: str | None = Field(description="Dotted path of the field that is wrong.")
    document: int | None = Field(description="The place of the document that is wrong, among those sent.")


class ErrorBody(BaseModel):
    """The one shape of all errors."""

    error: Told


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request is wrong, and the caller must change it."},
    503: {"model": ErrorBody, "description": "Not now: the same request may succeed after `Retry-After` seconds."},
    507: {"model": ErrorBody, "description": "The hall's disk is full: nothing was done."},
}  # fmt: skip
"""What every route may answer besides its own."""


def install(api: FastAPI) -> None:
    """Have every error of the hall's, of FastAPI's and of Starlette's answered in this shape."""
    api.add_exception_handler(HallError, lambda _, error: error_response(error))
    api.add_exception_handler(Refusal, _refusal)
    api.add_exception_handler(RequestValidationError, _validation)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _bug)


def error_response(
    error: HallError,
    *,
    document: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """`document` is the place of the document that is wrong."""
    more = dict(headers or {})
    if isinstance(error, NotNow):
        more["Retry-After"] = str(max(1, math.ceil(error.delay_s)))
    if error.status == 401:
        more["WWW-Authenticate"] = "Bearer"
    return _Plain(error_body(error, document), status_code=error.status, headers=more)


def error_body(error: HallError, document: int | None = None) -> dict[str, Any]:
    """The one shape of all errors."""
    message = error.message
    if len(message) > LONGEST_MESSAGE:  # it quotes something that is longer than anybody reads
        message = f"{message[:LONGEST_MESSAGE]}…"
    told = {"message": message, "who": error.who, "field": error.field, "document": document}
    return {"error": told}


class _Plain(JSONResponse):
    """JSON in ASCII: an error may quote what was sent, and that need not be text."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _refusal(_: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    return error_response(refusal.reason, document=refusal.place)


def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    mistake = error.errors()[0]
    if mistake["loc"] == ("body",) and isinstance(mistake.get("input"), bytes):
        return error_response(Rejected("send JSON, as `Content-Type: application/json`", status=415))
    field = ".".join(str(part) for part in mistake["loc"][1:])
    return error_response(Rejected(mistake["msg"], field=field or None))


def _http(_: Request, error: Exception) -> JSONResponse:
    """An error of Starlette's or FastAPI's own; what one of the hall's was wrapped in is taken off."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, HallError):
        return error_response(error.__cause__)
    message = str(error.detail)
    if error.status_code == 405:
        message = f"this path takes {(error.headers or {}).get('allow', 'other methods')} only"
    elif message == "Not Found":
        message = "there is nothing at this path; /api/openapi.json has all there is"
    return error_response(Rejected(message, status=error.status_code), headers=error.headers)


def _bug(_: Request, error: Exception) -> JSONResponse:
    """Starlette raises it again after this, and the log has all of it."""
    return error_response(
        Broken(f"this should not have happened ({type(error).__name__}); the hall's log has more")
    )
