"""`user`: somebody who signs in. What he may do in a project stands in the project's `members`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelhall.core.kinds.base import Document, Resource, Status


class User(Document):
    kind: Literal["user"] = "user"
    email: str = Field(default="", max_length=254, description="What single sign-on knows him by.")
    operator: bool = Field(
        default=False, description="Whether he runs the hall, and may do everything in it."
    )
    suspended: bool = Field(default=False, description="Whether he is kept out, with all his tokens.")


class UserStatus(Status):
    password: str = ""
    """Argon2 of the password's HMAC under the hall's key: of no use to anybody who has not got that key."""


UserResource = Resource[User, UserStatus]
