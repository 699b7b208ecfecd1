"""Who is who: from the token somebody shows to what he may do, as tokens, users and projects say now.

A door keeps one of these and tells it what changes in the store (`core/follower.py`), so that what is revoked is
refused as soon as the change is known there, and a check waits for nothing: one HMAC and one look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from modelhall.core.access import ALL, NOTHING, VERBS_OF, Identity, Role, Verb
from modelhall.core.errors import Denied, NotNow
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.token import TokenResource
from modelhall.trust.tokens import digest_of, read_key, read_token, token_in, unknown_token

TOKEN = "token "
"""How the name of an identity begins that is a token and nobody's."""
USER = "user "
FIRST = f"{TOKEN}default/first"
"""The token made at the first start. It is in a file and not in the store, so it opens the hall when the store is
gone, and nobody can take it away from whoever owns the machine."""

MOST_DIGESTS = 4096


class Entry(NamedTuple):
    """What a token's digest leads to."""

    token: Key
    until: float | None
    stands_for: bytes
    """The digest of the token that a session was begun with; empty for all others."""


class Rights(NamedTuple):
    """What somebody may do, by project and everywhere."""

    grants: Mapping[str, frozenset[Verb]]
    everywhere: frozenset[Verb]


class Directory:
    """Knows everybody. One for each process that lets callers in."""

    kinds = frozenset({"token", "user", "project"})
    """What it has to be told of."""

    def __init__(self, key: bytes, first: str | None, now: Callable[[], float]) -> None:
        """`first` is the token that may do everything, `now` the time tokens expire by."""
        self._key = key
        self._now = now
        self._known: dict[Key, AnyResource] = {}
        self._entries: dict[bytes, Entry] = {}
        self._roles: dict[str, dict[str, Role]] = {}
        """User → project → his role there."""
        self._identities: dict[Key, Identity | Denied] = {}
        """Worked out since the last change, for those who have come."""
        self._digests: dict[bytes | str | None, bytes] = {}
        """Of what those showed who were recognised, since working it out costs more than all the rest."""
        self._is_loaded = False
        self._first = digest_of(first.encode(), key) if first else b""
        self._owner = Identity(name=FIRST, project=DEFAULT_PROJECT, token=FIRST, everywhere=ALL)

    @classmethod
    def of(cls, home: Path, now: Callable[[], float]) -> Directory:
        """The directory of the hall in `home`, with nobody in it yet but its owner."""
        return cls(read_key(home), read_token(home), now)

    def start(self, resources: Iterable[AnyResource]) -> None:
        """Know these, and nobody else any more."""
        self._known, self._entries, self._roles = {}, {}, {}
        for resource in resources:
            self.take_in(resource.key, resource)
        self._identities.clear()
        self._is_loaded = True

    def take_in(self, key: Key, resource: AnyResource | None) -> None:
        """One of them has changed, or is gone."""
        self._identities.clear()
        before = self._known.pop(key, None)
        if before is not None:
            self._forget(before)
        if resource is None or resource.deleting:
            return
        self._known[key] = resource
        if key.kind == "token":
            self._entries |= _entries_of(resource)
        elif key.kind == "project":
            for user, role in resource.document.members.items():
                self._roles.setdefault(user, {})[key.name] = role

    def authenticate(self, header: bytes | str | None) -> Identity:
        """Who shows this value of an Authorization header; raises Denied (401), and NotNow before it has been told
        whom there is.

        How long it takes says nothing about any token: what is presented is compared by its HMAC, which nobody
        without the key can steer.
        """
        digest = self._digests.get(header)
        if digest is not None:
            return self._holder_of(digest)
        digest = digest_of(token_in(header), self._key)
        identity = self._holder_of(digest)
        if len(self._digests) >= MOST_DIGESTS:
            self._digests.clear()
        self._digests[header] = digest
        return identity

    def bearer(self, header: bytes | str | None) -> Callable[[], Identity]:
        """Who shows this value, to be asked again and again of one who stays; raises as `authenticate` does, and
        so does what it returns."""
        digest = digest_of(token_in(header), self._key)
        return lambda: self._holder_of(digest)

    def identity_of(self, user: str) -> Identity:
        """What a user may do, who has shown who he is by other means than a token; raises Denied."""
        rights = self._rights_of(user)
        return Identity(
            name=f"{USER}{user}", project=DEFAULT_PROJECT, grants=rights.grants, everywhere=rights.everywhere
        )

    def _holder_of(self, digest: bytes) -> Identity:
        if digest == self._first:
            return self._owner
        entry = self._entries.get(digest)
        if entry is None:
            if not self._is_loaded:
                raise NotNow("the hall does not know its callers yet", delay_s=1.0)
            raise unknown_token()
        if entry.until is not None and self._now() >= entry.until:
            raise Denied("the token has expired; ask for a new one", status=401)
        identity = self._identities.get(entry.token)
        if identity is None:
            identity = self._identities[entry.token] = self._identity(self._known[entry.token])
        if isinstance(identity, Denied):
            raise Denied(identity.message, status=401)
        if entry.stands_for:
            # Asked anew each time: what it stands for may expire, be suspended, revoked or rotated.
            return replace(self._holder_of(entry.stands_for), token=identity.token)
        return identity

    def _forget(self, before: AnyResource) -> None:
        if before.key.kind == "token":
            for credential in before.status.credentials:
                self._entries.pop(bytes.fromhex(credential.digest), None)
        elif before.key.kind == "project":
            for user in before.document.members:
                del self._roles[user][before.key.name]

    def _identity(self, token: TokenResource) -> Identity | Denied:
        document, key = token.document, token.key
        if token.status.state == "suspended":
            return Denied(f"the token is suspended: {token.status.reason}", status=401)
        try:
            rights = self._rights(token)
        except Denied as error:
            return error
        token_name = f"{'canary' if document.canary else 'token'} {key.project}/{key.name}"
        name = f"{USER}{document.user}" if document.user and not document.canary else token_name
        identity = Identity(
            name=name,
            project=key.project,
            token=token_name,
            grants=rights.grants,
            everywhere=rights.everywhere,
            node=document.node or "",
            joins=document.joins,
        )
        return identity if document.scopes is None else _narrowed(identity, frozenset(document.scopes))

    def _rights(self, token: TokenResource) -> Rights:
        document = token.document
        if document.user is not None:
            return self._rights_of(document.user)
        if document.operator:
            return Rights({}, ALL)
        return Rights({document.project: VERBS_OF[document.role]} if document.role else {}, NOTHING)

    def _rights_of(self, name: str) -> Rights:
        user = self._known.get(Key("user", DEFAULT_PROJECT, name))
        if user is None or user.document.suspended:
            raise Denied(f"user {name!r} is {'suspended' if user else 'not there any more'}", status=401)
        grants = {project: VERBS_OF[role] for project, role in self._roles.get(name, {}).items()}
        return Rights(grants, ALL if user.document.operator else NOTHING)


def _entries_of(token: TokenResource) -> dict[bytes, Entry]:
    """A token by each of its digests."""
    entries = {}
    for credential in token.status.credentials:
        ends = [end for end in (credential.until, token.document.expires_at) if end is not None]
        entries[bytes.fromhex(credential.digest)] = Entry(
            token.key, min(ends, default=None), bytes.fromhex(token.status.stands_for)
        )
    return entries


def _narrowed(identity: Identity, scopes: frozenset[Verb]) -> Identity:
    return replace(
        identity,
        scopes=scopes,
        grants={project: verbs & scopes for project, verbs in identity.grants.items()},
        everywhere=identity.everywhere & scopes,
    )
