"""Sessions of people at a browser: a token of theirs that lives for a while, carried by a cookie.

A browser sends a cookie along with whatever any page makes it ask. So whoever wants a change shows besides it what
only our own pages can read: a value that belongs to the session (CSRF). Issuing and ending is left to
`app/sessions.py`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from modelhall.core.access import Identity
from modelhall.core.errors import Denied, Rejected
from modelhall.core.kinds.limits import Limits
from modelhall.core.kinds.token import Token
from modelhall.trust.directory import TOKEN
from modelhall.trust.sites import READING
from modelhall.trust.tokens import key_for

COOKIE = "hall_session"
PROOF = b"x-modelhall-csrf"
"""The header that says that a request comes from a page of ours."""
LIFE_S = 12 * 3600.0
LONGEST_S = 7 * 86_400.0
LABELS = {"made-by": "sign-in"}
_NAME = "session-"


def new_session(user: str | None, id: str, now: float, limits: Limits | None = None) -> Token:
    """The token of a session that begins: of a user, or of nobody where it stands for another token."""
    return Token(
        name=f"{_NAME}{id}", user=user, labels=LABELS, expires_at=now + LIFE_S, limits=limits or Limits()
    )


def renewed_until(expires_at: float, began_at: float, now: float) -> float:
    """Until when a session lives that is used now."""
    return max(expires_at, min(now + LIFE_S, began_at + LONGEST_S))


def is_session(who: Identity) -> bool:
    """Whether somebody has come by a session, and not by a token of another sort."""
    return who.token.startswith(f"{TOKEN}default/{_NAME}")


def session_in(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The token in the session's cookie, if there is one; raises Rejected for two: somebody has slipped one in."""
    found = sessions_in(headers)
    if len(found) > 1:
        raise Rejected(f"the cookie {COOKIE} was sent {len(found)} times; remove those of this site")
    return found[0] if found else None


def sessions_in(headers: Mapping[bytes, bytes]) -> list[bytes]:
    """What all cookies of that name hold."""
    pairs = (pair.strip().partition(b"=") for pair in headers.get(b"cookie", b"").split(b";"))
    return [value for name, _, value in pairs if name == COOKIE.encode() and value]


class Proofs:
    """Tells requests of our own pages from those that other pages make a browser send."""

    def __init__(self, key: bytes) -> None:
        """`key` is the hall's."""
        self._key = key_for("csrf", key)

    def of(self, session: bytes) -> str:
        """What a page of ours shows with every change in this session."""
        return hmac.digest(self._key, session, "sha256").hex()

    def check(self, session: bytes, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Raise Denied for a change that does not show it, or that does not say which page it comes from; that it is
        one of ours, the gate has checked."""
        if method in READING:
            return
        if b"origin" not in headers:
            raise Denied("a change by cookie needs the header Origin, which browsers send")
        if not hmac.compare_digest(headers.get(PROOF, b""), self.of(session).encode()):
            raise Denied(
                f"a change by cookie needs the header {PROOF.decode()} with the session's value; "
                "GET /api/v1/session tells it"
            )
