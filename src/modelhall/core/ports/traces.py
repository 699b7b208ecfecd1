"""Where spans go: what was done for one request, as a part of a trace that may have begun with its caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Span(Protocol):
    """One request from its coming to its end."""

    @property
    def parent(self) -> bytes:
        """The value of `traceparent` for whoever is asked on its behalf (W3C Trace Context)."""
        ...

    def end(self, facts: Mapping[str, str | int | float | bool], *, failed: bool) -> None:
        """It is over; told beside it what it was."""
        ...


class Traces(Protocol):
    """Takes spans at once and hands them on later; what cannot be handed on is dropped, and delays nobody."""

    def begin(self, name: str, headers: Mapping[bytes, bytes]) -> Span:
        """A request has come with these headers, in lower case, of which `traceparent` may name a trace."""
        ...

    def close(self) -> None:
        """Hand on what is left, within a few seconds."""
        ...
