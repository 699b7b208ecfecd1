"""What has happened to one request so far: filled in on its way, read once when it is over."""

from __future__ import annotations

from typing import Protocol

from modelhall.core.kinds import Key
from modelhall.core.ports.book import UsageLine
from modelhall.core.ports.traces import Span


class Settling(Protocol):
    """What was reserved for a request."""

    def settle(self, record: Record) -> int:
        """The request is over: what it is charged, in billionths of the currency."""
        ...


class Record:
    """One for each request, so it is made as cheaply as can be."""

    __slots__ = (
        "accounted", "adapter", "admitted", "at", "bytes_in", "bytes_out", "charge_nano", "first_token_s",
        "from_cache", "metered", "replica", "service", "span", "started", "status", "tokens_cached", "tokens_in",
        "tokens_out", "tries", "user", "version", "weight",
    )  # fmt: skip

    def __init__(self, at: float, started: float) -> None:
        self.at = at
        """When it came in, in seconds since the epoch."""
        self.started = started
        """The same on the clock that never jumps."""
        self.service: Key | None = None
        self.adapter = ""
        """Which of its adapters is asked, if one is."""
        self.user = ""
        """Who asks, by name."""
        self.metered = False
        """Whether somebody pays for it."""
        self.replica = ""
        self.version = ""
        self.tries: list[str] = []
        """How each try ended: `answered`, or the evidence against the replica."""
        self.status = 0
        self.weight = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self.tokens_cached: int | None = None
        """Of those read, as many as the replica had read before."""
        self.first_token_s: float | None = None
        """From its coming to the first token of a stream."""
        self.from_cache = False
        """Whether no replica was asked, since the answer was there already."""
        self.admitted: Settling | None = None
        """What is reserved for it, where it comes under limits or costs something."""
        self.charge_nano = 0
        self.span: Span | None = None
        """Where traces are collected."""
        self.accounted = False
        """Whether it has been counted and written down; nothing here changes after that."""

    def usage(self, request_id: str, duration_s: float) -> UsageLine | None:
        """The line for the ledger, if somebody pays for this request."""
        if self.service is None or not self.metered:
            return None
        return {
            "request": request_id,
            "at": self.at,
            "project": self.service.project,
            "service": self.service.name,
            "version": self.version,
            "replica": self.replica,
            "status": self.status,
            "tries": len(self.tries),
            "duration_s": duration_s,
            "weight": self.weight,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "first_token_s": self.first_token_s,
            "tokens_cached": self.tokens_cached,
            "from_cache": self.from_cache,
            "charge_nano": self.charge_nano,
            "user": self.user,
            "adapter": self.adapter,
        }
