"""What a browser keeps while somebody signs in at a provider: signed, and good for a few minutes.

It ties the provider's answer to the browser that asked, so that nobody is signed in by a link that he was sent.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import NamedTuple

from pydantic import ValidationError

from modelhall.core.errors import Denied
from modelhall.core.kinds.base import Frozen
from modelhall.trust.tokens import key_for

LIFE_S = 600.0
LONGEST = 4096


class Attempt(Frozen):
    """One way to the provider and back."""

    state: str
    """Comes back with the answer."""
    nonce: str
    """Comes back within the identity token."""
    verifier: str
    """What the provider was shown the digest of (PKCE, RFC 7636)."""
    callback: str
    """The address the answer is sent to."""
    until: float


class Begun(NamedTuple):
    """Where the browser goes, and what it keeps meanwhile."""

    address: str
    kept: str


class Attempts:
    """Gives them out and takes them back."""

    def __init__(self, key: bytes, now: Callable[[], float]) -> None:
        """`key` is the hall's."""
        self._key = key_for("sign-in attempt", key)
        self._now = now

    def seal(self, attempt: Attempt) -> str:
        """As a cookie holds it."""
        content = base64.urlsafe_b64encode(attempt.model_dump_json().encode()).decode()
        return f"{content}.{self._mark(content)}"

    def open(self, kept: str) -> Attempt:
        """Raises Denied (401) for what was not given out here, or too long ago."""
        content, _, mark = kept[:LONGEST].partition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(content).encode()):
            raise Denied("this browser has not begun to sign in; begin anew", status=401)
        try:
            attempt = Attempt.model_validate_json(base64.urlsafe_b64decode(content))
        except (ValidationError, binascii.Error):
            raise Denied(
                "what this browser kept is of another version of the hall; begin anew", status=401
            ) from None
        if self._now() >= attempt.until:
            raise Denied(f"signing in has taken more than {LIFE_S / 60:g} minutes; begin anew", status=401)
        return attempt

    def _mark(self, content: str) -> str:
        return hmac.digest(self._key, content.encode(), "sha256").hex()
