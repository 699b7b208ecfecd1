"""The gate as the gateway sees it: asked before anybody is asked who he is, and told what came of that.

The real one is `trust/gate.py`, which `app/gateway.py` hands over; it tells the watchman what it notices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from modelhall.core.access import Identity

Headers = Mapping[bytes, bytes]


class Gate(Protocol):
    """Decides from memory, at once."""

    def lets_in(self, address: str) -> bool:
        """Whether a connection from there is accepted at all."""
        ...

    def admit(self, address: str, method: str, headers: Headers) -> None:
        """Let a request further; raises Rejected, Denied or TooMany."""
        ...

    def known(self, who: Identity, address: str, headers: Headers) -> None:
        """Somebody was recognised; raises TooMany or Denied."""
        ...

    def unknown(self, address: str, headers: Headers) -> None:
        """Nobody has the credential that was shown."""
        ...

    def refused(self, who: Identity, project: str, address: str) -> None:
        """Somebody asked for what is another project's."""
        ...


class OpenGate:
    """Lets everybody through, for a gateway that nobody can reach but its own tests."""

    def lets_in(self, address: str) -> bool:
        return True

    def admit(self, address: str, method: str, headers: Headers) -> None:
        pass

    def known(self, who: Identity, address: str, headers: Headers) -> None:
        pass

    def unknown(self, address: str, headers: Headers) -> None:
        pass

    def refused(self, who: Identity, project: str, address: str) -> None:
        pass
