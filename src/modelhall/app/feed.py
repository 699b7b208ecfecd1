"""What changes, told to everybody who watches: one follower of the store, however many they are.

Each change is read once, written down once as a server-sent event, and kept in a ring for a while. A watcher that is
too far behind for the ring reads the store by itself, and one that is behind all that the store remembers is told so
(Gone). Nothing is put by for anybody, so a slow watcher costs no more memory than a quick one.
How watchers are reached is left to `doors/api/watch.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from modelhall.app.history import NOTHING_YET, Labels, Reader, Ring, Told
from modelhall.core.access import Identity
from modelhall.core.errors import Gone, HallError, NotNow
from modelhall.core.ports.store import Store
from modelhall.trust.permissions import may_look

CHUNK_BYTES = 64 * 2**10
"""A watcher that has much to catch up on is given about this much at a time."""
CHUNKS_KEPT = 16
QUIET_S = 10.0
"""A watcher that has had nothing for so long is told how far the feed has been read."""
LOOK_S = 1.0
RETRY_S = 1.0
MOST_WATCHERS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Who watches, and what. Watchers with equal filters share the work."""

    identity: Identity
    kinds: frozenset[str] = frozenset()
    """All kinds when empty."""
    project: str | None = None
    name: str | None = None
    labels: Labels = frozenset()

    def text_of(self, told: Told) -> bytes | None:
        """The change as this watcher is told of it, or None when it does not concern him.

        What may have had the labels, and does not have them any more, is gone as far as he can see.
        """
        key = told.key
        if (
            (self.kinds and key.kind not in self.kinds)
            or self.project not in (None, key.project)
            or self.name not in (None, key.name)
            or not may_look(self.identity, key)
        ):
            return None
        if self.labels <= told.labels:
            return told.text
        return told.removal if told.had_others else None


class Feed:
    """The changes of one store, for any number of watchers."""

    def __init__(self, store: Store, *, ring: Ring | None = None) -> None:
        self.store = store
        self.ring = ring or Ring()
        self.is_closed = False
        self._groups: dict[Filter, _Group] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Follow the store as soon as somebody watches; for ever."""
        await self._wanted.wait()
        reader: Reader | None = None
        while True:
            try:
                if reader is None:
                    reader = Reader(self.store, await self.store.revision())
                    self.ring.start_at(reader.at)
                    self._wake_all()
                await self._follow(reader)
            except Gone:
                # The store was given another history, such as that of a backup; so each watcher will find by himself.
                reader = None
            except HallError as error:
                log.warning("feed.failed reason=%s", error)
                await asyncio.sleep(RETRY_S)
            self._wake_the_quiet()

    async def watch(self, wanted: Filter, after: int | None = None) -> Watch:
        """A watch from revision `after` on, or from now. Raises Gone when what happened since is not known any
        more, and NotNow when the hall is stopping or as many as it can serve are watching."""
        if self.is_closed:
            raise NotNow("the hall is stopping", delay_s=1.0)
        if sum(len(group.watches) for group in self._groups.values()) >= MOST_WATCHERS:
            raise NotNow(f"{MOST_WATCHERS} are watching already; that is as many as can be", delay_s=10.0)
        self._wanted.set()
        if after is None:
            after = await self.store.revision()
        else:
            await self.store.changes(after, 1)
        return Watch(self, wanted, after)

    def close(self) -> None:
        """End all watches, now and from now on."""
        self.is_closed = True
        self._wake_all()

    def join(self, watch: Watch) -> _Group:
        """Take a watcher among those who want the same."""
        group = self._groups.get(watch.wanted)
        if group is None:
            group = self._groups[watch.wanted] = _Group(self.ring, watch.wanted)
        group.watches.add(watch)
        return group

    def leave(self, watch: Watch) -> None:
        group = self._groups[watch.wanted]
        group.watches.discard(watch)
        if not group.watches:
            del self._groups[watch.wanted]

    async def _follow(self, reader: Reader) -> None:
        if news := await reader.next():
            self.ring.keep(news, reader.at)
            for group in self._groups.values():
                group.hear(news, reader.at)
        else:
            await self.store.wait(reader.at, LOOK_S)

    def _wake_all(self) -> None:
        for group in self._groups.values():
            group.wake()

    def _wake_the_quiet(self) -> None:
        before = asyncio.get_running_loop().time() - QUIET_S
        for group in self._groups.values():
            group.wake(before)


class Watch:
    """One watcher's place in history; a context, within which he counts as watching."""

    def __init__(self, feed: Feed, wanted: Filter, at: int) -> None:
        self.wanted = wanted
        self.at = at
        """He knows of everything that concerns him up to this revision."""
        self.told_at = 0.0
        """When he was last given anything."""
        self._feed = feed
        self._reader: Reader | None = None
        self._marked = -1
        self._has_ended = False

    def __enter__(self) -> Watch:
        self._group = self._feed.join(self)
        self.told_at = asyncio.get_running_loop().time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.leave(self)

    def end(self) -> None:
        """Have `next` say that it is over."""
        self._has_ended = True
        self._group.wake_one(self)

    def bookmark(self) -> bytes:
        """How far he has been told of everything, or a sign of life when he knows that already."""
        if self._marked == self.at:
            return b":\n\n"
        self._marked = self.at
        return b'id: %d\nevent: bookmark\ndata: {"revision":%d}\n\n' % (self.at, self.at)

    async def next(self) -> bytes:
        """All that waits for him, as server-sent events, or a bookmark after a while; empty when it is over.

        Raises Gone when he is so far behind that what he missed is not known any more, and NotNow when the store
        cannot be reached.
        """
        told = b""
        while not told and not (self._has_ended or self._feed.is_closed):
            if self.at < self._feed.ring.floor:
                told = await self._from_store()
            else:
                self.at, told = self._group.since(self.at)
                if not told and await self._group.wait(self):
                    told = self.bookmark()
        self.told_at = asyncio.get_running_loop().time()
        return told

    async def _from_store(self) -> bytes:
        """What follows, read for him alone until he has come up with the others."""
        self._reader = self._reader or Reader(self._feed.store, self.at)
        news = await self._reader.next()
        self.at = self._reader.at
        if self.at >= self._feed.ring.floor:
            self._reader = None
        elif not news and self._feed.ring.floor == NOTHING_YET:
            # The feed has not begun; it wakes everybody when it does.
            await self._group.wait(self)
        return b"".join(filter(None, map(self.wanted.text_of, news)))


class _Group:
    """The watchers that want the same."""

    def __init__(self, ring: Ring, wanted: Filter) -> None:
        self.watches: set[Watch] = set()
        self._ring = ring
        self._wanted = wanted
        self._waiting: dict[Watch, asyncio.Future[bool]] = {}
        self._found: dict[int, tuple[int, bytes]] = {}
        """What `since` was asked already: those who wait have mostly come as far as each other."""

    def hear(self, news: Iterable[Told], upto: int) -> None:
        """Wake those who wait if there is something for them."""
        if any(self._wanted.text_of(told) for told in news):
            self.wake()
            return
        self._found.clear()
        for watch in self._waiting:
            watch.at = max(watch.at, upto)

    def since(self, at: int) -> tuple[int, bytes]:
        """What the ring has for them after revision `at`, as far as one chunk takes it, and how far that is."""
        found = self._found.get(at)
        if found is None:
            found = self._look(at)
            if len(self._found) < CHUNKS_KEPT:
                self._found[at] = found
        return found

    async def wait(self, watch: Watch) -> bool:
        """Wait until there is something new; True when it has only been quiet for long."""
        woken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[watch] = woken
        try:
            return await woken
        finally:
            self._waiting.pop(watch, None)

    def wake(self, quiet_since: float | None = None) -> None:
        """Wake all, or those who were told nothing since that instant."""
        if quiet_since is None:
            self._found.clear()
            waiting, self._waiting = self._waiting, {}
            for future in waiting.values():
                if not future.done():
                    future.set_result(False)
            return
        for watch, future in self._waiting.items():
            if watch.told_at < quiet_since and not future.done():
                future.set_result(True)

    def wake_one(self, watch: Watch) -> None:
        future = self._waiting.get(watch)
        if future is not None and not future.done():
            future.set_result(False)

    def _look(self, at: int) -> tuple[int, bytes]:
        texts: list[bytes] = []
        size = 0
        for told in self._ring.after(at):
            if text := self._wanted.text_of(told):
                texts.append(text)
                size += len(text)
                if size > CHUNK_BYTES:
                    return told.revision, b"".join(texts)
        return max(at, self._ring.tip), b"".join(texts)
