"""Where secrets are kept, a project's own apart from every other's."""

from __future__ import annotations

from typing import Protocol


class ReadSecrets(Protocol):
    """Values by project and name. Synchronous: asked when an attempt starts, never by the loop.

    All methods raise Rejected for what is no name.
    """

    def get(self, project: str, name: str) -> bytes | None:
        """The value, or None when there is no such secret."""
        ...

    def names(self, project: str) -> list[str]:
        """The names of a project's secrets, in order; never their values."""
        ...


class Secrets(ReadSecrets, Protocol):
    """The same, to be changed."""

    def put(self, project: str, name: str, value: bytes) -> None:
        """Keep a value durably in place of the one before. Raises Rejected unless it is UTF-8 text of a size
        a program can be handed."""
        ...

    def delete(self, project: str, name: str) -> bool:
        """Forget a secret; False when there was none."""
        ...
