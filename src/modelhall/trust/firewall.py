"""Which addresses may reach a door at all: networks that are allowed, and networks that are denied.

What is asked here is asked when a connection is accepted, before a byte of it is read (`core/entrance.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from modelhall.core.errors import Rejected

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
MAPPED_BITS = 96
"""How much of an IPv6 address says that the rest is an IPv4 address (::ffff:0:0/96)."""


@dataclass(frozen=True, kw_only=True)
class Firewall:
    """Deny wins. Where nothing is allowed by name, all is allowed that is not denied."""

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def admits(self, address: str) -> bool:
        """Whether an address may come in. What is no address, such as a socket's path, is on no list."""
        if not self.allow and not self.deny:
            return True
        found = parse_address(address)
        if found is None or any(found in network for network in self.deny):
            return False
        return not self.allow or any(found in network for network in self.allow)


def firewall(door: str, *, allow: Iterable[str], deny: Iterable[str]) -> Firewall:
    """The firewall of a door, of its settings `DOOR_allow` and `DOOR_deny`; raises Rejected."""
    return Firewall(
        allow=tuple(parse_network(text, f"{door}_allow") for text in allow),
        deny=tuple(parse_network(text, f"{door}_deny") for text in deny),
    )


def parse_network(text: str, field: str) -> Network:
    """A network, written as 10.0.0.0/8 or 2001:db8::/32, or one address alone; raises Rejected."""
    try:
        network = ip_network(text.strip())
    except ValueError as error:
        raise Rejected(f"{error}; write a network as 10.0.0.0/8, or one address", field=field) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None:
        return network
    if network.prefixlen < MAPPED_BITS:
        raise Rejected(f"{text} is partly IPv4; write the IPv4 network as it is", field=field)
    return IPv4Network((mapped, network.prefixlen - MAPPED_BITS))


def parse_address(text: str) -> Address | None:
    """An address as it is compared: IPv4 in the clothes of IPv6 is IPv4, and an interface is left out."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
