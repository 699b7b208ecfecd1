"""Takes entries to the trail: those of all who wait in one append, and so with one fsync."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pydantic import ValidationError

from modelhall.core import digest
from modelhall.core.errors import Broken, HallError, Unrecorded
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.trail import Tail, Trail
from modelhall.trust.audit.chain import START, THE_LOG, Extension, Link, extend, links
from modelhall.trust.audit.entry import Draft, draft
from modelhall.trust.audit.heads import SigningKey

log = logging.getLogger(__name__)


class _Asked(NamedTuple):
    drafted: Draft | None
    """None asks for a signature."""
    done: asyncio.Future[int]


class Recorder:
    """Appends to a trail that other processes may append to as well."""

    def __init__(self, trail: Trail, key: SigningKey, clock: Clock) -> None:
        self._trail = trail
        self._key = key
        self._clock = clock
        self._waiting: list[_Asked] = []
        self._writing: asyncio.Task[None] | None = None
        # One of its own: what waits for this disk must not wait behind what waits for another.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self.link: Link | None = None
        """Where the chain was when this process last appended to it; None before that."""

    def put(self, drafted: Draft | None) -> asyncio.Future[int]:
        """Write an entry, or None: sign what has no signature yet. Comes true with the entry's number once it is
        durable; it is written even if nobody waits for that.

        Fails with NotNow, Full or Tampered; with Unrecorded if it is an outcome.
        """
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(drafted, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return done

    async def close(self) -> None:
        """Come back when all that was put is written."""
        if self._writing is not None:
            await self._writing
        self._thread.shutdown()

    async def _write_all(self) -> None:
        while self._waiting:
            # Whoever has gone by now was told nothing, and nothing of his has begun.
            group = [asked for asked in self._waiting if not _is_given_up(asked)]
            self._waiting = []
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._write, group)
            for asked, answer in zip(group, answers, strict=True):
                if asked.done.done():
                    continue
                if isinstance(answer, HallError):
                    asked.done.set_exception(answer)
                else:
                    asked.done.set_result(answer)
        self._writing = None

    def _write(self, group: Sequence[_Asked]) -> Sequence[int | HallError]:
        """Append a group; an answer for each. In the thread."""
        drafts = [asked.drafted for asked in group if asked.drafted is not None]
        try:
            numbers = iter(self._append(drafts, sign=len(drafts) < len(group)))
        except HallError as error:
            return self._owe(group, error)
        # Whatever it is: those who wait have to be told, and others will come.
        except Exception as error:
            log.exception("audit.write_failed")
            return self._owe(group, Broken(f"the audit log could not be written: {error!r}"))
        last = self.link.number if self.link is not None else 0
        return [next(numbers) if asked.drafted is not None else last for asked in group]

    def _append(self, drafts: Sequence[Draft], *, sign: bool) -> list[int]:
        """Append drafts behind what this process and others have written; return their numbers."""
        extension = Extension([], [], START)
        first: list[Draft] = []

        def make(tail: Tail) -> list[bytes]:
            nonlocal extension, first
            end = self.link
            for _, link in links(tail.unread, self.link, self._key.public):
                end = link
            first = list(self._of_before(tail))
            extension = extend(
                end or START,
                [*first, *drafts],
                key=self._key,
                at=self._clock.now(),
                begins=tail.begins,
                sign=sign,
            )
            return extension.lines

        self._trail.append(make)
        self.link = extension.end
        return extension.numbers[len(first) :]

    def _of_before(self, tail: Tail) -> Iterator[Draft]:
        """What was left to be written down: by a crash, by a disk that was full."""
        if tail.torn:
            torn = {"bytes": str(len(tail.torn)), "sha256": digest.of_bytes(tail.torn)}
            yield draft("note", at=self._clock.now(), who=THE_LOG, what="audit.torn", detail=torn)
        for line in tail.owed:
            try:
                yield Draft.model_validate_json(line)
            except ValidationError:
                log.error("audit.owed_unreadable bytes=%d", len(line))

    def _owe(self, group: Sequence[_Asked], error: HallError) -> Sequence[HallError]:
        """Keep the outcomes of a group that could not be appended aside. The rest was not done, and is only told."""
        outcomes = [asked.drafted for asked in group if _is_outcome(asked)]
        kept = "the log will as soon as it can be written"
        try:
            if outcomes:
                self._trail.owe([digest.canonical(one.model_dump(mode="json")) for one in outcomes if one])
        except HallError as worse:
            log.error("audit.outcomes_lost count=%d reason=%s", len(outcomes), worse)
            kept = f"nor could it be kept aside ({worse})"
        unrecorded = Unrecorded(
            f"it was done, and the audit log cannot say so: {error}; {kept}. Do not send it again"
        )
        return [unrecorded if _is_outcome(asked) else error for asked in group]


def _is_outcome(asked: _Asked) -> bool:
    return asked.drafted is not None and asked.drafted.sort == "outcome"


def _is_given_up(asked: _Asked) -> bool:
    return asked.done.cancelled() and not _is_outcome(asked)
