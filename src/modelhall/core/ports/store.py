"""Where resources live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from modelhall.core.kinds import AnyResource, Key, resource_from_json


@dataclass(frozen=True, kw_only=True)
class Put:
    """Create (revision 0) or replace `resource`; its `revision` must be the one stored now."""

    resource: AnyResource


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Remove the resource at `key`, if its revision is still `revision` and nothing it owns is there."""

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


@dataclass(frozen=True, kw_only=True)
class Need:
    """Write nothing, but only go on if there is a resource at `key` that is not being removed."""

    key: Key


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a mutating call was answered, under the idempotency key its caller gave; a key is answered once."""

    at: float
    once: str
    request: str
    """A digest of what was asked, to tell the same request from another one under its key."""
    body: str


class Lease(NamedTuple):
    """Who leads. `epoch` grows with every new leader, `beat` whenever the leader says that it is still there."""

    holder: str
    epoch: int
    beat: int


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Make `lease` the one there is, if the one there is now is `before`."""

    lease: Lease
    before: Lease | None


@dataclass(frozen=True, kw_only=True)
class Lead:
    """Write nothing, but only go on while the lease is of this epoch (Stale otherwise)."""

    epoch: int


Write = Put | Delete | Event | Need | Answer | Hold | Lead


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step of the store's history. `resource` is None when the resource was removed."""

    revision: int
    key: Key
    resource: AnyResource | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A resource that is as declared, in the form it is stored in: to read it takes time, and what it is found by is
    known without."""

    key: Key
    revision: int
    names: tuple[Key, ...]
    """What its document names."""
    body: str

    def read(self) -> AnyResource:
        return resource_from_json(self.key.kind, self.body)


class Store(Protocol):
    """A transactional set of resources with one growing revision.

    What `commit` has returned is durable. Methods raise NotNow when the store cannot be reached in time, and
    `Full` when there is no room to write.
    """

    async def get(self, key: Key) -> AnyResource | None: ...

    async def find(
        self,
        kind: str,
        project: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        owner: str | None = None,
        resting: bool | None = None,
        after: Key | None = None,
        limit: int | None = None,
    ) -> list[AnyResource]:
        """Those of one kind, ordered by project and name: of a project, with all of these labels, made for the
        resource with the path `owner`, at rest or not (see `core.kinds.rests`). For paging, the `limit` first of
        those after the key `after`."""
        ...

    async def latest(
        self,
        kind: str,
        project: str | None = None,
        *,
        state: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[AnyResource]:
        """Those of one kind that changed last, newest first: of a project, in a state. For paging, the `limit` first
        of those with a smaller revision than `before`."""
        ...

    async def alive(
        self, kind: str, *, after: Key | None = None, limit: int | None = None
    ) -> Sequence[AnyResource | Unread]:
        """As `find`, those that are not at rest; such as are settled (see `core.kinds.is_settled`) may be unread."""
        ...

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        """Do all of `writes` or none; return what was put, with the new revisions.

        Raises Conflict when any expectation is not met by what is stored.
        """
        ...

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        """The changes with a revision greater than `after`, oldest first. A resource that changed several
        times may be shown once, with its newest state.

        Raises Gone when the removals since `after` are not known any more, or `after` is of another history. To know
        all there is, read the revision, then `find`, and follow from there: 0 is before any removal, and never Gone.
        """
        ...

    async def revision(self) -> int:
        """The revision of the newest change, 0 before the first."""
        ...

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Come back as soon as there is a change after revision `after`, or in time; whether there is one."""
        ...

    async def events(
        self, key: Key | None = None, limit: int = 100, *, project: str | None = None
    ) -> list[Event]:
        """The newest events, newest first; of one resource if `key` is given, of one project if `project` is."""
        ...

    async def counts(self) -> dict[tuple[str, str], int]:
        """How many resources there are of each kind in each state."""
        ...

    async def answer(self, once: str) -> Answer | None:
        """What was answered under this idempotency key, if it was used lately."""
        ...

    async def lease(self) -> Lease | None: ...

    async def skip_to(self, revision: int) -> None:
        """Go on counting above `revision`, and forget the history until there: whoever followed another history
        of this hall, such as the one before a restore, is told to read anew."""
        ...

    async def close(self) -> None: ...
