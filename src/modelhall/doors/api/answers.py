"""Errors as answers: one shape for all of them, `{"error": {message, who, field, document}}`."""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from modelhall.control.declare import Refusal
from modelhall.core.errors import HallError, NotNow, Rejected


def install(api: FastAPI) -> None:
    """Have every error of the hall's, of FastAPI's and of Starlette's answered in this shape."""
    api.add_exception_handler(HallError, lambda _, error: error_response(error))
    api.add_exception_handler(Refusal, _refusal)
    api.add_exception_handler(RequestValidationError, _validation)
    api.add_exception_handler(HTTPException, _http)


def error_response(error: HallError, *, document: int | None = None, challenge: bool = False) -> JSONResponse:
    """`document` is the place of the document that is wrong; `challenge` asks a browser for a token."""
    headers = {}
    if isinstance(error, NotNow):
        headers["Retry-After"] = str(max(1, math.ceil(error.delay_s)))
    if error.status == 401:
        headers["WWW-Authenticate"] = (
            'Basic realm="Modelhall: the token is the password"' if challenge else "Bearer"
        )
    return JSONResponse(error_body(error, document), status_code=error.status, headers=headers)


def error_body(error: HallError, document: int | None = None) -> dict[str, Any]:
    """The one shape of all errors."""
    told = {"message": error.message, "who": error.who, "field": error.field, "document": document}
    return {"error": told}


def _refusal(_: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    return error_response(refusal.reason, document=refusal.place)


def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    mistake = error.errors()[0]
    field = ".".join(str(part) for part in mistake["loc"][1:])
    return error_response(Rejected(mistake["msg"], field=field or None))


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return error_response(Rejected(str(error.detail), status=error.status_code))
