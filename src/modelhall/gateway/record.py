"""What has happened to one request so far: filled in on its way, read once when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelhall.core.kinds import Key
from modelhall.core.ports.book import Usage


@dataclass(slots=True, kw_only=True)
class Record:
    at: float
    """When it came in, in seconds since the epoch."""
    started: float
    """The same on the clock that never jumps."""
    service: Key | None = None
    metered: bool = False
    """Whether somebody pays for it."""
    replica: str = ""
    version: str = ""
    tries: list[str] = field(default_factory=list)
    """How each try ended: `answered`, or the evidence against the replica."""
    status: int = 0
    weight: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    first_token_s: float | None = None
    """From its coming to the first token of a stream."""
    accounted: bool = False
    """Whether it has been counted and written down; nothing here changes after that."""

    def usage(self, request_id: str, duration_s: float) -> Usage | None:
        """The entry for the ledger, if somebody pays for this request."""
        if self.service is None or not self.metered:
            return None
        return Usage(
            request=request_id,
            at=self.at,
            project=self.service.project,
            service=self.service.name,
            version=self.version,
            replica=self.replica,
            status=self.status,
            tries=len(self.tries),
            duration_s=duration_s,
            weight=self.weight,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            first_token_s=self.first_token_s,
        )
