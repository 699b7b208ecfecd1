"""Where resources live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelhall.core.kinds import AnyResource, Key


@dataclass(frozen=True, kw_only=True)
class Put:
    """Create (revision 0) or replace `resource`; its `revision` must be the one stored now."""

    resource: AnyResource


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Remove the resource at `key`, if its revision is still `revision`."""

    key: Key
    revision: int


@dataclass(frozen=True, kw_only=True)
class Event:
    """Why something happened, for people. Kept for a while, never read back by the loop."""

    at: float
    key: Key
    name: str
    """Dotted, such as `run.started`."""
    message: str


Write = Put | Delete | Event


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step of the store's history. `resource` is None when the resource was removed."""

    revision: int
    key: Key
    resource: AnyResource | None


class Store(Protocol):
    """A transactional set of resources with one growing revision.

    What `commit` has returned is durable. Methods raise NotNow when the store cannot be reached in time.
    """

    async def get(self, key: Key) -> AnyResource | None: ...

    async def all(self, kind: str, project: str | None = None) -> list[AnyResource]:
        """All of one kind, ordered by project and name."""
        ...

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        """Do all of `writes` or none; return what was put, with the new revisions.

        Raises Conflict when any expected revision is not the stored one.
        """
        ...

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        """The changes with a revision greater than `after`, oldest first. A resource that changed several
        times may be shown once, with its newest state."""
        ...

    async def events(self, key: Key | None = None, limit: int = 100) -> list[Event]:
        """The newest events, newest first; of one resource if `key` is given."""
        ...

    async def close(self) -> None: ...
