"""What callers may ask of the gateway: how much of one connection, how quickly, and how much all of them together."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelhall.gateway.reader import Sizes


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a caller may ask of one connection, and how long things may take."""

    sizes: Sizes = field(default_factory=Sizes)
    connections: int = 10_000
    idle_s: float = 75.0
    """A connection with nothing to do is closed after this."""
    head_s: float = 10.0
    """A head must have arrived whole within this."""
    body_s: float = 15.0
    """Longest silence within a body."""
    body_bytes_s: float = 1024.0
    """A body that takes longer than `body_s` must come at least at this rate on the whole."""
    held_bytes: int = 1024 * 1024 * 1024
    """As much of bodies is held for all callers together."""
    write_s: float = 60.0
    """Longest time a caller may leave its answer unread."""
    linger_s: float = 2.0
    """How long a refused caller is listened to after each piece it sends, so that it reads why before the connection
    breaks."""
    most_linger_s: float = 30.0
    """The same in all."""
    check_s: float = 0.5
    """How often these times are looked at: much cheaper than a timer for every request."""

    @property
    def pace(self) -> str:
        """What is asked of a body, in words."""
        return f"something every {self.body_s:g} s, and {self.body_bytes_s:g} bytes a second on the whole"


class Room:
    """What is left of the bytes that may be held for all callers together."""

    def __init__(self, size_bytes: int) -> None:
        self.left_bytes = size_bytes
