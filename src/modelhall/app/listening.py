"""How the two doors listen: at which address, with TLS or not, under which names, and behind which gate.

The API's process and the gateway's come to the same by reading the same settings. What a certificate is and how TLS
is spoken is `trust/`'s.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from modelhall.core.errors import Rejected
from modelhall.core.loopback import is_loopback
from modelhall.core.ports.clock import Clock
from modelhall.settings import Settings
from modelhall.trust import tls
from modelhall.trust.firewall import firewall
from modelhall.trust.gate import Gate, Rates
from modelhall.trust.signals import Signal
from modelhall.trust.sites import LOCAL, Sites
from modelhall.trust.tokens import read_token

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where a door listens, and how it speaks."""

    address: str
    """What is bound: resolved once, so that what was checked is what is bound."""
    told: str
    """The host in the URLs that callers on this machine are given."""
    pair: Pair | None
    tls: ssl.SSLContext | None

    def url(self, port: int) -> str:
        host = f"[{self.told}]" if ":" in self.told else self.told
        return f"{'https' if self.tls else 'http'}://{host}:{port}"


def listening_of(settings: Settings, now: float) -> Listening:
    """How the doors listen by these settings; warns of a certificate that ends soon. Raises Rejected when others
    could listen in, or a certificate does not do."""
    address = _resolve(settings.host)
    pair = _pair(settings)
    if not _speaks_tls(settings, address):
        return Listening(address=address, told=address, pair=None, tls=None)
    if pair is None:
        reason = "tls = \"on\" needs a certificate" if is_loopback(address) else (
            f"at {settings.host} others could reach the hall, and listen in"
        )  # fmt: skip
        raise Rejected(
            f"{reason}; `hall tls init --name NAME` makes certificates, `tls_certificate` and `tls_key` name your "
            'own, and host = "127.0.0.1" keeps the hall to this machine',
            field="host",
        )
    context = tls.server_context(pair.certificate, pair.key)
    names = certificate_names(pair, now)
    return Listening(address=address, told=_told(address, settings.host, names), pair=pair, tls=context)


def gate_of(
    door: Literal["api", "gateway"], settings: Settings, *, clock: Clock, tell: Callable[[Signal], None]
) -> Gate:
    """The gate of a door; raises Rejected for lists that are not networks."""
    allow, deny = (settings.api_allow, settings.api_deny) if door == "api" else (
        settings.gateway_allow, settings.gateway_deny
    )  # fmt: skip
    gate = Gate(
        firewall=firewall(door, allow=allow, deny=deny),
        sites=Sites(_names(settings, clock.now()), settings.hosts),
        rates=Rates(per_token=settings.rate_per_token, per_address=settings.rate_per_address),
        clock=clock,
        tell=tell,
    )
    # The command line of the hall's owner is not locked out by whoever else guesses on the same machine.
    if (token := read_token(settings.home)) is not None:
        for address in (*LOCAL, _resolve(settings.host)):
            gate.expect(address, f"Bearer {token}".encode())
    return gate


def certificate_names(pair: Pair, now: float) -> tuple[str, ...]:
    """The names a certificate is for; warns of its end, if that is near. Raises Rejected."""
    # Imported here because it takes a twentieth of a second that a hall without TLS need not spend.
    from modelhall.trust import certificates

    found = certificates.read(pair.certificate)
    days = found.days_left(now)
    if days < 0:
        log.error("tls.over certificate=%s days=%.1f: clients refuse it; `hall tls renew`", found.path, -days)
    elif days < certificates.WARN_DAYS:
        log.warning("tls.ends-soon certificate=%s days=%.1f: `hall tls renew`", found.path, days)
    return found.names


def _names(settings: Settings, now: float) -> Iterable[str]:
    """The names under which this hall may be asked."""
    address = _resolve(settings.host)
    names = [settings.host, address]
    if ipaddress.ip_address(address).is_unspecified:
        there = (one.address.partition("%")[0] for found in psutil.net_if_addrs().values() for one in found)
        names.extend(there)
    pair = _pair(settings)
    if pair is not None and pair.certificate.exists() and _speaks_tls(settings, address):
        names.extend(certificate_names(pair, now))
    return names


def _resolve(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise Rejected(f"{host!r} is no address of this machine: {error.strerror}", field="host") from None
    return str(found[4][0])


def _speaks_tls(settings: Settings, address: str) -> bool:
    return settings.tls == "on" or settings.tls_certificate is not None or not is_loopback(address)


def _pair(settings: Settings) -> Pair | None:
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise Rejected(
            "a certificate and its key go together; set both `tls_certificate` and `tls_key`", field="tls_key"
        )
    if settings.tls_certificate is not None and settings.tls_key is not None:
        return Pair(certificate=settings.tls_certificate, key=settings.tls_key)
    folder = settings.home / tls.FOLDER
    own = Pair(certificate=folder / tls.SERVER, key=folder / tls.SERVER_KEY)
    return own if own.certificate.exists() else None


def _told(address: str, host: str, names: tuple[str, ...]) -> str:
    """A name that this door listens under and the certificate is for; clients check that it is."""
    local = "127.0.0.1" if ipaddress.ip_address(address).is_unspecified else address
    for name in (local, host):
        if name in names:
            return name
    return next((name for name in names if "*" not in name), local)
