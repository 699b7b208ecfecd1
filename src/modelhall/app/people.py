"""Tokens, members and passwords: made, changed, taken away. What is done here holds at every door within a second.

Who may do it is for doors to check (`trust/permissions.py`), but that nobody gives away more than he has is checked
here (`trust/issuing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from modelhall.core.access import Identity, Role
from modelhall.core.errors import Conflict, NotFound, Rejected
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.token import Token, TokenResource, TokenStatus
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.store import Delete, Event, Need, Put, Store, Write
from modelhall.trust.directory import TOKEN, USER
from modelhall.trust.issuing import check_issue, check_role, new_secret, rotated
from modelhall.trust.tokens import digest_of

TRIES = 20


class Issued(NamedTuple):
    """A token that was made, and its secret, which nobody is ever told again."""

    token: TokenResource
    secret: str


class People:
    """Changes to who may do what, in one store."""

    def __init__(self, store: Store, key: bytes, clock: Clock, new_uid: Callable[[], str]) -> None:
        """`key` is the hall's, under which secrets are kept."""
        self._store = store
        self._key = key
        self._clock = clock
        self._new_uid = new_uid

    async def issue(self, document: Token, issuer: Identity) -> Issued:
        """Make a token. Raises Rejected, Denied, NotFound for its user, and Conflict when its name is taken."""
        check_issue(issuer, document, self._clock.now())
        needs = [Key("project", DEFAULT_PROJECT, document.project)] * (document.project != DEFAULT_PROJECT)
        needs += [Key("user", DEFAULT_PROJECT, document.user)] if document.user else []
        for need in needs:
            await self._there(need)
        if await self._store.get(document.key):
            raise Conflict(f"there is a {document.key}; rotate it, or choose another name", field="name")
        return await self._make(document, TokenStatus(state="active"), issuer, needs)

    async def stand_in(self, document: Token, shown: bytes, issuer: Identity) -> Issued:
        """Make a token that may what the token `shown` may, as long as that may: nobody has more by it."""
        digest = digest_of(shown, self._key).hex()
        return await self._make(document, TokenStatus(state="active", stands_for=digest), issuer, ())

    async def rotate(self, key: Key, overlap_s: float, by: Identity) -> Issued:
        """Give a token a new secret; the one before is good for `overlap_s` more.

        Raises NotFound, Rejected, and Denied to who may not make such a token: he would have it from then on.
        """
        made = new_secret(self._key)

        def renew(token: AnyResource) -> Sequence[Write]:
            now = self._clock.now()
            check_issue(by, token.document, now)
            credentials = rotated(token.status.credentials, made.credential, now, overlap_s)
            return [Put(resource=token.with_status(credentials=credentials)), self._event(key, "rotated", by)]

        return Issued(await self._change(key, renew), made.token)

    async def revoke(self, key: Key, by: Identity) -> None:
        """Make a token useless, for ever. Raises NotFound."""
        await self._change(
            key, lambda token: [Delete(key=key, revision=token.revision), self._event(key, "revoked", by)]
        )

    async def suspend(self, key: Key, reason: str, by: Identity) -> None:
        """Make a token useless until it is resumed. Raises NotFound."""
        await self._set_state(key, "suspended", reason, by)

    async def resume(self, key: Key, by: Identity) -> None:
        """Make a suspended token useful again. Raises NotFound."""
        await self._set_state(key, "active", "", by)

    async def set_member(self, project: str, user: str, role: Role | None, by: Identity) -> None:
        """Give somebody a role in a project, or none any more. Raises NotFound, and Denied for a role that may
        more than whoever gives it."""
        key, member = Key("project", DEFAULT_PROJECT, project), Key("user", DEFAULT_PROJECT, user)
        if role is not None:
            check_role(by, role, project)
            await self._there(member)

        def plan(found: AnyResource) -> Sequence[Write]:
            members = {name: its for name, its in found.document.members.items() if name != user}
            if role is None and user not in found.document.members:
                raise NotFound(f"{user!r} is no member of {project!r}", field="user")
            members |= {user: role} if role else {}
            document = found.document.model_copy(update={"members": members})
            changed = found.model_copy(update={"document": document, "generation": found.generation + 1})
            return [
                Put(resource=changed),
                self._event(key, "members-changed", by, f"{user}: {role or 'none'}"),
            ]

        await self._change(key, plan)

    async def suspend_user(self, key: Key, by: Identity) -> None:
        """Keep a user out, with all his tokens and sessions. Raises NotFound."""

        def plan(found: AnyResource) -> Sequence[Write]:
            document = found.document.model_copy(update={"suspended": True})
            changed = found.model_copy(update={"document": document, "generation": found.generation + 1})
            return [Put(resource=changed), self._event(key, "suspended", by)]

        await self._change(key, plan)

    async def set_password(self, user: str, hashed: str, by: Identity) -> None:
        """Keep the hash of a user's password. Raises NotFound."""
        key = Key("user", DEFAULT_PROJECT, user)
        await self._change(
            key,
            lambda found: [
                Put(resource=found.with_status(password=hashed)),
                self._event(key, "password-set", by),
            ],
        )

    async def _make(
        self, document: Token, status: TokenStatus, issuer: Identity, needs: Sequence[Key]
    ) -> Issued:
        now, made = self._clock.now(), new_secret(self._key)
        token = TokenResource(
            document=document,
            status=status.model_copy(update={"credentials": (made.credential,)}),
            uid=self._new_uid(),
            created_at=now,
            updated_at=now,
        )
        await self._store.commit(
            [
                *(Need(key=need) for need in needs),
                Put(resource=token),
                self._event(token.key, "created", issuer),
            ]
        )
        return Issued(token, made.token)

    async def _set_state(self, key: Key, state: str, reason: str, by: Identity) -> None:
        await self._change(
            key,
            lambda token: [
                Put(resource=token.with_status(state=state, reason=reason)),
                self._event(key, state, by, reason),
            ],
        )

    async def _change(self, key: Key, plan: Callable[[AnyResource], Sequence[Write]]) -> AnyResource:
        """Change what is at `key`, anew when somebody else was quicker; what it is then."""
        for _ in range(TRIES):
            found = await self._there(key)
            try:
                stored = await self._store.commit(plan(found))
            except Conflict:
                continue
            return stored[0] if stored else found
        raise Conflict(f"others keep changing {key}; try again")

    async def _there(self, key: Key) -> AnyResource:
        found = await self._store.get(key)
        if found is None or found.deleting:
            raise NotFound(f"no {key}", field=key.kind)
        return found

    def _event(self, key: Key, word: str, by: Identity, more: str = "") -> Event:
        message = f"by {by.name}{': ' if more else ''}{more}"
        return Event(at=self._clock.now(), key=key, name=f"{key.kind}.{word}", message=message)


def key_of(name: str) -> Key:
    """The key of whoever is called `token PROJECT/NAME` or `user NAME`; raises Rejected for other names."""
    if name.startswith(USER):
        return Key("user", DEFAULT_PROJECT, name.removeprefix(USER))
    project, slash, word = name.removeprefix(TOKEN).partition("/")
    if not name.startswith(TOKEN) or not slash:
        raise Rejected(f"{name!r} is neither a token nor a user")
    return Key("token", project, word)
