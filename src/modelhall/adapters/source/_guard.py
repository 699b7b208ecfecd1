"""Which hosts a source may be fetched from: a name is resolved once, and what is connected to is what was checked."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.source import Reach

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], list[str]]
"""Host name → its addresses. Raises OSError."""

RETRY_S = 15.0
_CARRIES_IPV4 = ipaddress.ip_network("64:ff9b::/96")


def resolve(host: str) -> list[str]:
    """The addresses of a host, asked of the system."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def checked_address(host: str, port: int, reach: Reach, resolve: Resolve) -> str:
    """The address to connect to for `host`. Raises Rejected when the operator does not let sources go there,
    NotNow when the name cannot be resolved."""
    if port not in reach.ports:
        allowed = ", ".join(map(str, reach.ports))
        raise Rejected(
            f"{host}:{port}: sources may be fetched from the ports {allowed} (setting `source_ports`)",
            field="source",
        )
    try:
        found = resolve(host)
    except (OSError, UnicodeError) as error:
        raise NotNow(f"{host} cannot be resolved: {error}", delay_s=RETRY_S) from None
    networks = [ipaddress.ip_network(network) for network in reach.networks]
    # All of them, since a name that has one private address was meant to lead there.
    for text in found:
        address = _meant(ipaddress.ip_address(text.partition("%")[0]))
        if not (_is_public(address) or any(address in network for network in networks)):
            raise Rejected(
                f"{host} is {address}, in a private network; an operator allows it by the setting "
                "`source_networks`",
                field="source",
            )
    if not found:
        raise NotNow(f"{host} has no address", delay_s=RETRY_S)
    return found[0]


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _CARRIES_IPV4:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour:
            return address.sixtofour
    return address


def _is_public(address: Address) -> bool:
    """Whether it is on the Internet: not private, loopback, link-local (with the metadata of clouds), or reserved."""
    tunnelled = isinstance(address, ipaddress.IPv6Address) and address.teredo is not None
    return address.is_global and not address.is_multicast and not address.is_reserved and not tunnelled
