"""`token`: what a program or a person shows at the doors. The token itself is told once, when it is made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelhall.core.access import Role, Verb
from modelhall.core.kinds.base import Document, Frozen, Resource, Status
from modelhall.core.kinds.limits import Limits
from modelhall.core.names import Name


class Token(Document):
    """Of a user, for whom it stands in all his projects; of nobody, with a role in its own project; or of a node."""

    kind: Literal["token"] = "token"
    user: Name | None = Field(default=None, description="Whose it is; it may do what he may.")
    role: Role | None = Field(default=None, description="What it may do in its project, if it is nobody's.")
    operator: bool = Field(default=False, description="Whether it may do everything in the hall.")
    scopes: tuple[Verb, ...] | None = Field(default=None, description="If given, nothing but these.")
    expires_at: float | None = Field(default=None, description="From when on it is of no use.")
    canary: bool = Field(default=False, description="Put out to be found: whoever uses it is an intruder.")
    node: Name | None = Field(default=None, description="The machine whose agent shows it; made by joining.")
    joins: bool = Field(default=False, description="Whether one machine may join with it, once.")
    limits: Limits = Field(default_factory=Limits, description="What may be used with it, of all services.")


class Credential(Frozen):
    """One secret of a token; while it is being replaced, it has two."""

    digest: str
    """HMAC-SHA256 of the secret under the hall's key, in hex: nobody who lacks that key can do anything with it."""
    until: float | None = None
    """From when on it is of no use."""


class TokenStatus(Status):
    """States: active, suspended."""

    credentials: tuple[Credential, ...] = ()
    stands_for: str = ""
    """For a session begun with a token: that token's digest. It may do what that one may, as long as that one may."""


TokenResource = Resource[Token, TokenStatus]
