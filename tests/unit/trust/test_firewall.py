"""Networks that may come in and networks that may not."""

from __future__ import annotations

import pytest

from modelhall.core.errors import Rejected
from modelhall.trust.firewall import firewall


def admits(address: str, *, allow: list[str] | None = None, deny: list[str] | None = None) -> bool:
    return firewall("api", allow=allow or [], deny=deny or []).admits(address)


def test_without_lists_everybody_may_come() -> None:
    assert admits("203.0.113.9")
    assert admits("2001:db8::1")


def test_a_list_of_who_is_allowed_keeps_out_everybody_else() -> None:
    allowed = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]
    assert [admits(one, allow=allowed) for one in ("10.1.2.3", "2001:db8:1::1", "192.0.2.7")] == [True] * 3
    assert [admits(one, allow=allowed) for one in ("11.1.2.3", "2001:db9::1", "192.0.2.8")] == [False] * 3


def test_what_is_denied_stays_out_though_it_is_allowed() -> None:
    assert not admits("10.9.0.1", allow=["10.0.0.0/8"], deny=["10.9.0.0/16"])
    assert admits("10.8.0.1", allow=["10.0.0.0/8"], deny=["10.9.0.0/16"])


@pytest.mark.parametrize("dressed", ["::ffff:10.0.0.1", "::FFFF:a00:1"])
def test_ipv4_in_the_clothes_of_ipv6_is_ipv4(dressed: str) -> None:
    assert not admits(dressed, deny=["10.0.0.0/8"])
    assert admits(dressed, allow=["10.0.0.0/8"])
    assert not admits("10.0.0.1", deny=["::ffff:10.0.0.0/104"])


def test_the_interface_of_a_link_local_address_does_not_matter() -> None:
    assert not admits("fe80::1%eth0", deny=["fe80::/10"])


def test_what_is_no_address_is_kept_out_where_there_are_lists() -> None:
    assert admits("")
    assert not admits("", deny=["10.0.0.0/8"])


@pytest.mark.parametrize("network", ["10.0.0.1/8", "everybody", "10.0.0.0/33", "", "::ffff:0:0/90"])
def test_a_list_that_is_not_of_networks_is_refused_by_its_name(network: str) -> None:
    with pytest.raises(Rejected) as refused:
        firewall("gateway", allow=[], deny=[network])
    assert refused.value.field == "gateway_deny"
