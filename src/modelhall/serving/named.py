"""Which of those a replica serves is asked: its own model, or one of the adapters beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from starlette.requests import Request

from modelhall.core.adapter_names import HEADER
from modelhall.core.errors import NotFound
from modelhall.core.names import did_you_mean

T = TypeVar("T")


def asked_of(request: Request, served: Mapping[str, T]) -> T:
    """What the gateway asks for, of what is `served` by the names of adapters; the model itself has none. Raises
    NotFound."""
    name = request.headers.get(HEADER, "")
    if name not in served:
        there = [one for one in served if one]
        raise NotFound(f"this replica has no adapter {name[:80]!r}; {did_you_mean(name, there)}")
    return served[name]
