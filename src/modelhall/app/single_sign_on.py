"""Single sign-on: whom a provider vouches for is the user with that e-mail address.

What a provider is told and believed is left to `trust/oidc.py`, the session that comes of it to `signing_in.py`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelhall.core import digest
from modelhall.core.errors import Conflict, Denied, Rejected
from modelhall.core.kinds import AnyResource
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.user import User, UserResource, UserStatus
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.secrets import Secrets
from modelhall.core.ports.store import Event, Put, Store
from modelhall.settings import Settings
from modelhall.trust import private_file
from modelhall.trust.attempts import Attempts, Begun

if TYPE_CHECKING:
    from modelhall.trust.oidc import Person, Provider


def open_single_sign_on(
    settings: Settings,
    *,
    key: bytes,
    store: Store,
    secrets: Secrets,
    clock: Clock,
    new_uid: Callable[[], str],
) -> SingleSignOn | None:
    """The single sign-on that the settings ask for, if any; raises Rejected for what it lacks."""
    if not settings.oidc_issuer:
        return None
    if not settings.oidc_client_id:
        raise Rejected("the provider knows this hall by an id; set it", field="oidc_client_id")
    try:
        # Imported here because it takes half a second that a hall without single sign-on need not spend.
        from modelhall.trust.oidc import Provider
    except ImportError as error:
        raise Rejected(
            f"single sign-on needs {error.name!r}: pip install 'modelhall[sso]'", field="oidc_issuer"
        ) from None

    async def secret() -> str:
        return await asyncio.to_thread(_secret, settings.oidc_client_secret, secrets)

    return SingleSignOn(
        Provider(
            issuer=settings.oidc_issuer, client_id=settings.oidc_client_id, client_secret=secret, clock=clock
        ),
        attempts=Attempts(key, clock.now),
        store=store,
        clock=clock,
        new_uid=new_uid,
        creates=settings.oidc_create,
    )


class SingleSignOn:
    """One provider, and whom its people are here."""

    def __init__(
        self,
        provider: Provider,
        *,
        attempts: Attempts,
        store: Store,
        clock: Clock,
        new_uid: Callable[[], str],
        creates: bool,
    ) -> None:
        """`creates`: whether whoever the provider vouches for becomes a user, without a part in any project."""
        self._provider = provider
        self._attempts = attempts
        self._store = store
        self._clock = clock
        self._new_uid = new_uid
        self._creates = creates

    async def begin(self, callback: str) -> Begun:
        """Where to send a browser, which the provider sends back to `callback`. Raises NotNow."""
        address, attempt = await self._provider.begin(callback)
        return Begun(address, self._attempts.seal(attempt))

    async def user_of(self, kept: str, query: Mapping[str, str]) -> str:
        """The name of the user who comes back with this. Raises Denied (401), NotNow."""
        person = await self._provider.person(self._attempts.open(kept), query)
        found = [
            user for user in await self._store.find("user") if _is_same(user.document.email, person.email)
        ]
        if len(found) > 1:
            raise Denied("several users have your e-mail address; an operator has to change that", status=401)
        if not found and not self._creates:
            raise Denied(
                "nobody here has your e-mail address; an operator has to make you a user", status=401
            )
        return str((found[0] if found else await self._created(person)).key.name)

    async def _created(self, person: Person) -> AnyResource:
        """A new user. His name follows from his address, so that of two who create him at once one fails."""
        now = self._clock.now()
        user = UserResource(
            document=User(name=_name_from(person.email), email=person.email),
            status=UserStatus(),
            uid=self._new_uid(),
            created_at=now,
            updated_at=now,
        )
        event = Event(at=now, key=user.key, name="user.created", message="by single sign-on")
        try:
            stored = await self._store.commit([Put(resource=user), event])
        except Conflict:
            raise Denied(
                f"there is a user {user.key.name!r} with another e-mail address", status=401
            ) from None
        return stored[0]


def _secret(where: str, secrets: Secrets) -> str:
    """The secret in a file, or kept in the hall under a name; "" when there is to be none."""
    if not where:
        return ""
    found = (
        private_file.read(Path(where), otherwise="`chmod 600` it")
        if "/" in where
        else secrets.get(DEFAULT_PROJECT, where)
    )
    if found is None:
        raise Rejected(
            f"there is no {where!r}, which is to hold the client's secret", field="oidc_client_secret"
        )
    return found.decode().strip()


def _is_same(ours: str, theirs: str) -> bool:
    """Whether two e-mail addresses are one. Case counts for nothing in ASCII; elsewhere letters that are not alike
    become the same in lower case, and somebody else could have such an address."""
    if ours.isascii() and theirs.isascii():
        return bool(ours) and ours.lower() == theirs.lower()
    return ours == theirs


def _name_from(email: str) -> str:
    """`Anna.Lind@example.org` → `anna-lind-5f1d03`."""
    words = re.sub("[^a-z0-9]+", "-", email.partition("@")[0].lower()).strip("-")
    begun = words if words[:1].isalpha() else f"u-{words}"
    return f"{begun[:50].strip('-')}-{digest.of_bytes(email.lower().encode())[:6]}"
