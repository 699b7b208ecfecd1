"""The one who is told what is done in the hall, by whom.

    async with auditing.action(who=…, address=…, verb="apply", targets=[…]) as action:
        …                                                # not begun before the intent is on the disk
        action.outcome(revisions={…}, status=200)

What cannot be written down is not done. A crash in between leaves an intent without an outcome, which the proof calls
open. Whose authority it takes, and to what answers errors become, is left to the doors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Literal

from modelhall.adapters.trail.folder import open_trail
from modelhall.app.audit import reading
from modelhall.app.audit.reading import FOLDER, KEYS, Page, Wanted
from modelhall.app.audit.recorder import Recorder
from modelhall.app.audit.watch import Watch
from modelhall.control.declare import Refusal
from modelhall.core.errors import Full, HallError, NotNow, Tampered
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.trail import Trail
from modelhall.trust.audit.entry import Draft, Outcome, draft
from modelhall.trust.audit.heads import Head, SigningKey, signing_key_in
from modelhall.trust.audit.proof import Verdict

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0


def open_auditing(home: Path, clock: Clock) -> Auditing:
    """The auditing of the hall in `home`; its key is made at the first start."""
    return Auditing(open_trail(home / FOLDER), signing_key_in(home / KEYS), clock)


class Action:
    """What is being done; whoever does it says what came of it."""

    def __init__(self) -> None:
        self.done = Outcome(result="done")

    def outcome(self, *, revisions: Mapping[str, int] | None = None, status: int | None = None) -> None:
        """Say which revision each target has now, and what was answered: a status of 400 or more says that it was
        refused, or failed."""
        result = "done" if status is None or status < 400 else _refused_or_failed(status)
        self.done = Outcome(result=result, status=status, revisions=dict(revisions or {}))


class Auditing:
    """The audit log of one hall. Everything that can be asked of it is a method here."""

    def __init__(self, trail: Trail, key: SigningKey, clock: Clock) -> None:
        self._trail = trail
        self._key = key
        self._clock = clock
        self._recorder = Recorder(trail, key, clock)
        self._watch = Watch(trail, key.public)
        self.broken: str | None = None
        """What is wrong with the log, once something was found; the hall is read-only then, until it is started anew
        over a log that is well."""

    @contextlib.asynccontextmanager
    async def action(
        self, *, who: str, address: str, verb: str, targets: Iterable[str] = (), request: str = ""
    ) -> AsyncIterator[Action]:
        """Write down that something is about to be done, and, when the body has ended, what became of it. `targets`
        are paths, `request` is a digest of what was asked.

        Raises NotNow or Full before the body begins when the intent cannot be written, Unrecorded after it has done
        its work when the outcome cannot be; what the body raises is raised.
        """
        now = self._clock.now()
        intent = draft(
            "intent", at=now, who=who, address=address, what=verb, targets=targets, request=request
        )
        number = await self._write(intent)
        action = Action()
        try:
            yield action
        except BaseException as error:
            try:
                await self._close(intent, number, outcome_of(error))
            except HallError as unrecorded:
                log.error("audit.outcome_owed intent=%d reason=%s", number, unrecorded)
            raise
        await self._close(intent, number, action.done)

    async def note(
        self, *, who: str, address: str, event: str, detail: Mapping[str, str] | None = None
    ) -> None:
        """Write down that something happened, such as a sign-in, a lock-out, a refusal. Raises NotNow or Full."""
        drafted = draft("note", at=self._clock.now(), who=who, address=address, what=event, detail=detail)
        await self._write(drafted)

    async def head(self) -> Head:
        """A fresh head, of all that was written until now; to be kept elsewhere."""
        await self._write(None)
        link = self._recorder.link
        assert link is not None
        return self._key.sign(link.number, link.digest, round(self._clock.now(), 3))

    async def page(self, wanted: Wanted, *, limit: int, before: int | None = None) -> Page:
        """Entries, the newest that are wanted."""
        return await asyncio.to_thread(reading.page, self._trail, wanted, limit=limit, before=before)

    async def verify(self, kept: Head | None = None, *, archived: bool = False) -> Verdict:
        """Whether the whole log is what was written, also as far as this process remembers."""
        known = self._recorder.link
        return await asyncio.to_thread(
            reading.verdict, self._trail, self._key.public, kept=kept, known=known, archived=archived
        )

    async def keep_watch(self, every_s: float = LOOK_EVERY_S) -> None:
        """Look at what is new, and sign it, every so often; for ever."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Verify what has changed since the last look, and sign what has no signature yet. `broken` says what is
        wrong."""
        written = self._recorder.link
        try:
            await asyncio.to_thread(self._watch.look, written)
            if self.broken is None:
                await self._write(None)
        except Tampered as error:
            self._break(error)
        except HallError as error:
            log.warning("audit.not_looked_at reason=%s", error)

    async def close(self) -> None:
        """Sign what has no signature yet, and come back when all is written."""
        if self._recorder.link is not None and self.broken is None:
            try:
                await self._write(None)
            except HallError as error:
                log.warning("audit.not_signed reason=%s", error)
        await self._recorder.close()

    async def _close(self, intent: Draft, number: int, outcome: Outcome) -> None:
        """Write the outcome of an intent; also when whoever waits for it is told to give up meanwhile."""
        drafted = intent.model_copy(
            update={
                "sort": "outcome", "at": round(self._clock.now(), 3), "of": number, "outcome": outcome, "request": "",
            }
        )  # fmt: skip
        await asyncio.shield(self._recorder.put(drafted))

    async def _write(self, drafted: Draft | None) -> int:
        if self.broken is not None:
            raise self._read_only()
        try:
            return await self._recorder.put(drafted)
        except Tampered as error:
            self._break(error)
            raise self._read_only() from error

    def _break(self, error: Tampered) -> None:
        if self.broken is None:
            self.broken = error.message
            log.error("audit.broken problem=%s", error.message)

    def _read_only(self) -> NotNow:
        return NotNow(
            f"nothing can be changed, since the audit log is not what was written: {self.broken}. "
            "`hall audit verify` tells more; put the log aside or restore it, and start the hall again",
            delay_s=LOOK_EVERY_S,
        )


def outcome_of(error: BaseException) -> Outcome:
    """What became of something that ended with this error."""
    reason = error.reason if isinstance(error, Refusal) else error
    if isinstance(reason, HallError):
        result = _refused_or_failed(reason.status)
        return Outcome(result=result, status=reason.status, error=type(reason).__name__)
    return Outcome(result="failed", error=type(reason).__name__)


def _refused_or_failed(status: int) -> Literal["refused", "failed"]:
    """What an answer with an error is: `NotNow` and `Full` refuse like the rest, though their status is above 499."""
    return "refused" if status < 500 or status in (NotNow.status, Full.status) else "failed"
