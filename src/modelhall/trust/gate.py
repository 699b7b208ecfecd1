"""What every request passes before it is asked who it is from, and again once that is known.

One gate for each door, in its process: `admit` before authentication, then `known` or `unknown`, and `refused` when
somebody asked for what is another project's. It decides from memory, at once; what it notices it tells the watchman.
An address that fails too often is locked out, but not those who were let in from there before: several people may
share one address.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import ceil, inf

from modelhall.core.access import Identity
from modelhall.core.errors import TooMany
from modelhall.core.ports.clock import Clock
from modelhall.trust.detection import CANARY
from modelhall.trust.firewall import Firewall
from modelhall.trust.limits import MOST, Lockouts, Rate, Recent, place_of
from modelhall.trust.sessions import sessions_in
from modelhall.trust.signals import Kind, Signal
from modelhall.trust.sites import Sites
from modelhall.trust.tokens import unknown_token

FREE_AT_ADDRESS = 10
"""Different credentials that may fail from one address before it is locked."""
FREE_WITH_CREDENTIAL = 3
"""Times that one credential may fail before whoever goes on trying it is locked out."""
FREE_WITH_PASSWORD = 5
"""Wrong passwords of one user, wherever they come from, before nobody may sign in as him for a while."""
TELL_AGAIN_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Requests a second, after which callers are told to wait."""

    per_token: float
    per_address: float


class Gate:
    """Stands in one door."""

    def __init__(
        self,
        *,
        firewall: Firewall,
        sites: Sites,
        rates: Rates,
        clock: Clock,
        tell: Callable[[Signal], None],
        most: int = MOST,
    ) -> None:
        self._firewall = firewall
        self._sites = sites
        self._clock = clock
        self._now = clock.monotonic
        self._tell = tell
        self._by_address = Rate(rates.per_address, most=most)
        self._by_identity = Rate(rates.per_token, most=most)
        self._addresses = Lockouts(FREE_AT_ADDRESS, most=most)
        self._credentials = Lockouts(FREE_WITH_CREDENTIAL, most=most)
        self._users = Lockouts(FREE_WITH_PASSWORD, most=most)
        self._welcome: Recent[float] = Recent(most)
        """Who was let in from where, and when the watchman was last told."""
        self._is_quiet = True
        """Nothing has failed yet, so that there are no locks to be looked for."""

    def lets_in(self, address: str) -> bool:
        """Whether a connection from this address is accepted at all."""
        return self._firewall.admits(address)

    def admit(self, address: str, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Let a request further, to be asked who it is from. Raises Rejected (421) when it is for another host,
        Denied when a page of another site wants a change, and TooMany."""
        host = headers.get(b"host")
        self._sites.check_host(host)
        if (origin := headers.get(b"origin")) is not None:
            self._sites.check_origin(method, origin, host)
        place, now = place_of(address), self._now()
        if not self._is_quiet:
            self._check_locks(place, headers, now)
        if delay_s := self._by_address.take(place, now):
            raise TooMany(
                f"{place} asks for more than it may; ask again in {ceil(delay_s)} s", delay_s=delay_s
            )

    def known(self, who: Identity, address: str, headers: Mapping[bytes, bytes]) -> None:
        """Somebody was recognised. Raises TooMany, or Denied for a token that was only issued to be found."""
        place, now = place_of(address), self._now()
        visit = (place, hash(credential_in(headers)))
        told_at = self._welcome.get(visit)
        if told_at is None or now - told_at > TELL_AGAIN_S:
            self._let_in(who, place, visit, now)
        name = who.token or who.name
        if delay_s := self._by_identity.take(name, now):
            raise TooMany(
                f"{name} asks for more than it may; ask again in {ceil(delay_s)} s", delay_s=delay_s
            )

    def unknown(self, address: str, headers: Mapping[bytes, bytes]) -> None:
        """Nobody has the credential that was shown. The same one again is no guess: it locks out whoever shows it,
        and nobody else at his address."""
        credential = credential_in(headers)
        if credential is None:
            return
        place, now = place_of(address), self._now()
        visit = (place, hash(credential))
        self._is_quiet = False
        self._welcome.drop(visit)
        if self._credentials.failed(visit, now) == 1:
            self._addresses.failed(place, now)
            self._note("unknown", place)

    def check_sign_in(self, user: str) -> None:
        """Raises TooMany while nobody may sign in as a user, be there one of that name or not."""
        if delay_s := self._users.locked_s(user, self._now()):
            raise TooMany(
                f"too many wrong passwords of user {user!r}; try again in {ceil(delay_s)} s", delay_s=delay_s
            )

    def failed_sign_in(self, address: str, user: str | None) -> None:
        """Somebody failed to show that he is this user, or that he is anybody."""
        place, now = place_of(address), self._now()
        self._is_quiet = False
        if user is not None:
            self._users.failed(user, now)
        self._addresses.failed(place, now)
        self._note("unknown", place)

    def signed_in(self, user: str) -> None:
        """Somebody knew the password of a user."""
        self._users.forgive(user)

    def refused(self, who: Identity, project: str, address: str) -> None:
        """Somebody who was recognised asked for what is another project's."""
        self._note("refused", place_of(address), who=who.token or who.name, project=project)

    def expect(self, address: str, credential: bytes) -> None:
        """Treat whoever shows this there as if he had been let in before: no lock keeps him out."""
        self._welcome.put((place_of(address), hash(credential)), -inf)

    def lock(self, until_by_address: Mapping[str, float]) -> None:
        """Lock what was found to need it, at whichever door; instants are seconds since the epoch."""
        self._is_quiet = self._is_quiet and not until_by_address
        ahead_s = self._now() - self._clock.now()
        for address, until in until_by_address.items():
            self._addresses.lock(place_of(address), until + ahead_s)

    def _check_locks(self, place: str, headers: Mapping[bytes, bytes], now: float) -> None:
        """Raises TooMany for a credential that goes on failing, and for a locked address, unless one who was let in
        from there before comes again."""
        visit = (place, hash(credential_in(headers)))
        delay_s = self._credentials.locked_s(visit, now)
        if not delay_s and self._welcome.get(visit) is None:
            delay_s = self._addresses.locked_s(place, now)
        if delay_s:
            raise TooMany(
                f"too many failed attempts from {place}; try again in {ceil(delay_s)} s", delay_s=delay_s
            )

    def _let_in(self, who: Identity, place: str, visit: Hashable, now: float) -> None:
        """Remember that somebody was let in from there, unless what he showed was only issued to be found."""
        if who.name.startswith(CANARY):
            self._note("canary", place, who=who.name)
            raise unknown_token()
        self._welcome.put(visit, now)
        self._credentials.forgive(visit)
        self._note("known", place, who=who.token or who.name)

    def _note(self, kind: Kind, place: str, *, who: str = "", project: str = "") -> None:
        self._tell(Signal(kind=kind, at=self._clock.now(), place=place, who=who, project=project))


def credential_in(headers: Mapping[bytes, bytes]) -> bytes | None:
    """What somebody shows to say who he is, if he shows anything."""
    return headers.get(b"authorization") or b" ".join(sessions_in(headers)) or None
