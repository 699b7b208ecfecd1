"""Sessions: begun, renewed by use, ended, and swept up when they are over.

Each is a token in the store, so that what holds for tokens holds for them: a user who is suspended or removed has
none that is any good, at any door, within a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from modelhall.app.people import Issued, People, key_of
from modelhall.core.access import Identity
from modelhall.core.errors import Conflict, HallError, NotFound
from modelhall.core.kinds import AnyResource
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.store import Delete, Put, Store
from modelhall.trust.limits import Recent
from modelhall.trust.sessions import LABELS, is_session, new_session, renewed_until

RENEW_EVERY_S = 600.0
SWEEP_EVERY_S = 600.0
KEPT_S = 86_400.0
"""How long what is left of a session is kept, for whoever asks whose it was."""

log = logging.getLogger(__name__)


class Sessions:
    """Who is signed in, in one store."""

    def __init__(self, store: Store, people: People, clock: Clock, new_id: Callable[[], str]) -> None:
        self._store = store
        self._people = people
        self._clock = clock
        self._new_id = new_id
        self._looked_at: Recent[float] = Recent()
        """When each was last renewed: not every request is to ask the store."""

    async def begin(self, user: str, who: Identity) -> Issued:
        """A new session of a user who has shown who he is; it is never one that a browser brought along."""
        return await self._people.issue(new_session(user, self._new_id(), self._clock.now()), who)

    async def begin_with_token(self, shown: bytes, who: Identity) -> Issued:
        """A new session of whoever shows a token: it may what that may, as long as that may. What may be used with it
        is limited as with the token."""
        key = key_of(who.token)
        found = await self._store.get(key)
        limits = found.document.limits if found is not None else None
        document = new_session(None, self._new_id(), self._clock.now(), limits)
        return await self._people.stand_in(document, shown, who)

    async def renew(self, who: Identity) -> None:
        """Somebody uses his session: it lives longer, up to the longest. What he asks for does not depend on it."""
        now = self._clock.now()
        before = self._looked_at.get(who.token)
        if not is_session(who) or (before is not None and now - before < RENEW_EVERY_S):
            return
        self._looked_at.put(who.token, now)
        try:
            found = await self._store.get(key_of(who.token))
            if found is None or found.document.labels != LABELS:
                return
            until = renewed_until(found.document.expires_at, found.created_at, now)
            document = found.document.model_copy(update={"expires_at": until})
            await self._store.commit([Put(resource=found.model_copy(update={"document": document}))])
        except HallError as error:
            log.info("session.not_renewed token=%r reason=%s", who.token, error)

    async def end(self, who: Identity) -> None:
        """Somebody signs out."""
        if not is_session(who):
            raise NotFound(f"{who.token or who.name} is no session; a token is revoked, `hall token revoke`")
        await self._people.revoke(key_of(who.token), who)

    async def end_all(self, user: str, by: Identity) -> None:
        """End what a user has begun everywhere, but for the session that asks for it."""
        own = key_of(by.token) if is_session(by) else None
        for session in await self._all():
            if session.document.user == user and session.key != own:
                with contextlib.suppress(NotFound):
                    await self._people.revoke(session.key, by)

    async def keep_swept(self, leads: Callable[[], bool]) -> None:
        """While leading, sweep up now and then; for ever."""
        while True:
            try:
                if leads():
                    await self.sweep()
            except HallError as error:
                log.warning("sessions.not_swept reason=%s", error)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> None:
        """Remove what has been over for a while."""
        over = self._clock.now() - KEPT_S
        for session in await self._all():
            if session.document.expires_at is not None and session.document.expires_at < over:
                with contextlib.suppress(Conflict):  # somebody was quicker; the next sweep sees what is left
                    await self._store.commit([Delete(key=session.key, revision=session.revision)])

    async def _all(self) -> list[AnyResource]:
        return await self._store.find("token", DEFAULT_PROJECT, labels=LABELS)
