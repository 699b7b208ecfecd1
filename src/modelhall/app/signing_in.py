"""Signing in: somebody shows who he is, by a password, a token or word of a provider, and has a session from then on.

Whatever comes of an attempt is in the audit log before the caller hears. A name is written there only if there is
such a user: people type passwords into the wrong field. Who fails too often is locked out by the gate, the name as
well as the address, since one password can be guessed at from many addresses. Tokens are not touched by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from modelhall.app.audit.auditing import Auditing
from modelhall.app.people import Issued, People
from modelhall.app.sessions import Sessions
from modelhall.app.single_sign_on import SingleSignOn, open_single_sign_on
from modelhall.app.turns import Turns
from modelhall.core.access import ALL, Identity
from modelhall.core.errors import Denied, NotFound
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.names import is_name
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.secrets import Secrets
from modelhall.core.ports.store import Store
from modelhall.settings import Settings
from modelhall.trust.attempts import Begun
from modelhall.trust.directory import USER, Directory
from modelhall.trust.gate import Gate
from modelhall.trust.passwords import Passwords
from modelhall.trust.sessions import Proofs, is_session
from modelhall.trust.tokens import read_key

WRONG = "user and password do not go together"


def open_signing_in(
    settings: Settings,
    *,
    store: Store,
    directory: Directory,
    catch_up: Callable[[], Awaitable[None]],
    people: People,
    secrets: Secrets,
    gate: Gate,
    auditing: Auditing,
    clock: Clock,
    new_uid: Callable[[], str],
) -> SigningIn:
    """The way in for people, by these settings; raises Rejected for a single sign-on that lacks something."""
    key = read_key(settings.home)
    return SigningIn(
        store=store,
        directory=directory,
        catch_up=catch_up,
        people=people,
        sessions=Sessions(store, people, clock, new_uid),
        proofs=Proofs(key),
        passwords=Passwords(key),
        gate=gate,
        auditing=auditing,
        single=open_single_sign_on(
            settings, key=key, store=store, secrets=secrets, clock=clock, new_uid=new_uid
        ),
    )


class SigningIn:
    """The way in for people, in one hall."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        catch_up: Callable[[], Awaitable[None]],
        people: People,
        sessions: Sessions,
        proofs: Proofs,
        passwords: Passwords,
        gate: Gate,
        auditing: Auditing,
        single: SingleSignOn | None,
    ) -> None:
        """`catch_up` has the directory know all there is now; `single` is what there is of single sign-on."""
        self.sessions = sessions
        self.proofs = proofs
        self._store = store
        self._directory = directory
        self._catch_up = catch_up
        self._people = people
        self._passwords = passwords
        self._gate = gate
        self._auditing = auditing
        self._single = single
        # A check takes 64 MiB and a processor. With the few that may wait, nobody waits for long.
        self._hashing = Turns(2, 8, delay_s=2.0)
        self._asking = Turns(4, 32, delay_s=2.0)

    async def by_password(self, user: str, password: str, address: str) -> Issued:
        """A session of whoever knows the user's password. Raises Denied (401), TooMany."""
        kept = await self._kept_of(user)
        await self._check(user, password, kept, address)
        return await self._enter(user, address, "password")

    async def by_token(self, token: str, address: str) -> Issued:
        """A session of whoever has this token, which ends with it. Raises Denied (401), TooMany."""
        shown = token.strip().encode(errors="replace")
        header = b"Bearer " + shown
        await self._catch_up()
        try:
            who = self._directory.authenticate(header)
            self._gate.known(who, address, {b"authorization": header})
            if is_session(who):
                raise Denied("a session begins no other; sign in with the token itself", status=401)
        except Denied as error:
            self._gate.failed_sign_in(address, None)
            await self._note("sign-in.refused", "", address, by="token", reason=error.message)
            raise
        await self._note("sign-in.granted", who.name, address, by="token")
        begun = await self.sessions.begin_with_token(shown, who)
        await self._catch_up()
        return begun

    async def begin_at_provider(self, callback: str) -> Begun:
        """Where to send a browser, and what it keeps meanwhile. Raises NotFound where there is no single sign-on."""
        async with self._asking.turn():
            return await self._provider().begin(callback)

    async def by_provider(self, kept: str, query: Mapping[str, str], address: str) -> Issued:
        """A session of the user whom the provider vouches for. Raises Denied (401), TooMany, NotNow."""
        try:
            async with self._asking.turn():
                user = await self._provider().user_of(kept, query)
        except Denied as error:
            self._gate.failed_sign_in(address, None)
            await self._note("sign-in.refused", "", address, by="provider", reason=error.message)
            raise
        return await self._enter(user, address, "provider")

    async def set_password(self, user: str, new: str, old: str | None, by: Identity, address: str) -> None:
        """Give a user a new password, and end his other sessions. An operator may; he himself shows the old one.
        Raises Rejected, Denied, NotFound, TooMany."""
        # Whoever knows a password can sign in with it, and then do all that its user may.
        if by.everywhere != ALL:
            if by.name != f"{USER}{user}" or by.scopes is not None:
                raise Denied(f"{by.name} may not set this password; the user himself may, or an operator")
            await self._check(user, old or "", await self._kept_of(user), address, status=403)
        async with self._hashing.turn():
            hashed = await asyncio.to_thread(self._passwords.hash, new)
        await self._people.set_password(user, hashed, by)
        await self.sessions.end_all(user, by)

    async def _check(
        self, user: str, password: str, kept: str | None, address: str, status: int = 401
    ) -> None:
        """Raise Denied unless the password is right; `kept` is None where there is no such user."""
        async with self._hashing.turn():
            self._gate.check_sign_in(user)
            is_right = await asyncio.to_thread(self._passwords.is_right, password, kept or "")
            if is_right:
                self._gate.signed_in(user)
                return
            self._gate.failed_sign_in(address, user)
        await self._note(
            "sign-in.refused", f"{USER}{user}" if kept is not None else "", address, by="password"
        )
        raise Denied(WRONG, status=status)

    async def _enter(self, user: str, address: str, by: str) -> Issued:
        await self._catch_up()
        try:
            who = self._directory.identity_of(user)
        except Denied as error:
            await self._note("sign-in.refused", f"{USER}{user}", address, by=by, reason=error.message)
            raise
        await self._note("sign-in.granted", who.name, address, by=by)
        begun = await self.sessions.begin(user, who)
        await self._catch_up()
        return begun

    async def _kept_of(self, user: str) -> str | None:
        """What is kept of a user's password; None when there is no such user."""
        found = await self._store.get(Key("user", DEFAULT_PROJECT, user)) if is_name(user) else None
        if found is None or found.deleting:
            return None
        return str(found.status.password)

    async def _note(self, event: str, who: str, address: str, **detail: str) -> None:
        await self._auditing.note(who=who, address=address, event=event, detail=detail)

    @property
    def has_provider(self) -> bool:
        """Whether people may sign in at a provider."""
        return self._single is not None

    def _provider(self) -> SingleSignOn:
        if self._single is None:
            raise NotFound("there is no single sign-on in this hall; it is set up with `oidc_issuer`")
        return self._single
