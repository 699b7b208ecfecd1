"""The store's history as it is told: read once, written down once as server-sent events, the newest part kept.

Who is told of what is left to `app/feed.py`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from modelhall.core.kinds import Key
from modelhall.core.ports.store import Change, Store

BATCH = 64
"""Changes read from the store at a time."""
RING_CHANGES = 4096
RING_BYTES = 16 * 2**20
NOTHING_YET = 2**63
"""The floor of a ring that has not begun."""

Labels = frozenset[tuple[str, str]]


class Told(NamedTuple):
    """One change, written down."""

    revision: int
    key: Key
    labels: Labels
    had_others: bool
    """Whether it may have had other labels before."""
    text: bytes
    removal: bytes
    """As it is told to those whose labels it has lost."""


class Ring:
    """The newest changes: all of those after revision `floor` and up to `tip`."""

    def __init__(self, *, changes: int = RING_CHANGES, size_bytes: int = RING_BYTES) -> None:
        self.floor = NOTHING_YET
        self.tip = 0
        self._most = changes
        self._most_bytes = size_bytes
        self._told: deque[Told] = deque()
        self._bytes = 0

    def start_at(self, revision: int) -> None:
        """Forget all, and go on from here."""
        self._told.clear()
        self._bytes = 0
        self.floor = self.tip = revision

    def keep(self, news: Iterable[Told], upto: int) -> None:
        """Take what has happened up to revision `upto`, and let go of the oldest."""
        self.tip = upto
        for told in news:
            self._told.append(told)
            self._bytes += len(told.text)
        while len(self._told) > self._most or self._bytes > self._most_bytes:
            oldest = self._told.popleft()
            self._bytes -= len(oldest.text)
            self.floor = oldest.revision

    def after(self, revision: int) -> Iterator[Told]:
        """What is kept of the changes after a revision, oldest first."""
        missed = []
        for told in reversed(self._told):
            if told.revision <= revision:
                break
            missed.append(told)
        return reversed(missed)


class Reader:
    """Goes through a store's history."""

    def __init__(self, store: Store, at: int) -> None:
        self.at = at
        self._store = store
        self._was_full = False

    async def next(self) -> list[Told]:
        """The next changes, none when there are none yet. Raises Gone when they are not known any more."""
        newest = await self._store.revision()
        changes = await self._store.changes(self.at, BATCH)
        upto = changes[-1].revision if changes else max(self.at, newest)
        # Every revision is one change. Where one is missing it was followed by another of the same resource, and
        # that may hide that the resource was removed in between, or had other labels.
        is_whole = not self._was_full and len(changes) == upto - self.at
        self.at, self._was_full = upto, len(changes) == BATCH
        return [_written(change, is_whole=is_whole) for change in changes]


def _written(change: Change, *, is_whole: bool) -> Told:
    resource = change.resource
    removal = _event(change, "removed", b"null")
    if resource is None:
        # Nobody knows what labels it had.
        return Told(change.revision, change.key, frozenset(), True, removal, removal)
    return Told(
        revision=change.revision,
        key=change.key,
        labels=frozenset(resource.document.labels.items()),
        had_others=resource.generation > 1 or not is_whole,
        text=_event(change, "changed", resource.model_dump_json().encode()),
        removal=removal,
    )


def _event(change: Change, name: str, resource: bytes) -> bytes:
    """In the format of https://html.spec.whatwg.org/multipage/server-sent-events.html; JSON has no line ends."""
    about = json.dumps({**change.key._asdict(), "revision": change.revision}).encode()
    return b"id: %d\nevent: %s\ndata: %s,\"resource\":%s}\n\n" % (
        change.revision, name.encode(), about[:-1], resource,
    )  # fmt: skip
