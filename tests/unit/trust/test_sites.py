"""The names a hall answers to, and the pages it takes orders from."""

from __future__ import annotations

import pytest

from modelhall.core.errors import Denied, Rejected
from modelhall.trust.sites import MOST_KNOWN, Sites

OURS = Sites(["10.0.0.5", "hall.example.org", "*.halls.example.org"], ["proxy.example.org:8443"])


@pytest.mark.parametrize(
    "host",
    [
        b"localhost", b"localhost:7070", b"127.0.0.1:7070", b"[::1]:7070", b"::1", b"10.0.0.5",
        b"HALL.Example.ORG:80", b"hall.example.org.", b"one.halls.example.org", b"proxy.example.org",
    ],
)  # fmt: skip
def test_a_request_by_a_name_of_ours_is_for_us(host: bytes) -> None:
    OURS.check_host(host)


@pytest.mark.parametrize(
    "host",
    [
        None, b"", b"evil.test", b"localhost.evil.test", b"evil.test:7070", b"10.0.0.6", b"halls.example.org",
        b"a.b.halls.example.org", b"[::2]", b"[", b"\xff\xfe", b"localhost@evil.test", b"127.0.0.1.evil.test",
    ],
)  # fmt: skip
def test_a_request_for_another_host_is_misdirected(host: bytes | None) -> None:
    for _ in range(2):
        with pytest.raises(Rejected) as refused:
            OURS.check_host(host)
        assert refused.value.status == 421


def test_ports_in_any_number_are_not_remembered() -> None:
    sites = Sites([])
    for port in range(3 * MOST_KNOWN):
        sites.check_host(b"localhost:%d" % port)
    assert len(sites._known) == MOST_KNOWN


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "origin",
    [
        b"http://evil.test",
        b"null",
        b"",
        b"http://localhost:9999",
        b"http://10.0.0.5",
        b"http://localhost",
        b"file://",
    ],
)
def test_a_page_of_another_site_changes_nothing(method: str, origin: bytes) -> None:
    with pytest.raises(Denied):
        OURS.check_origin(method, origin, b"localhost:7070")


def test_our_own_pages_and_those_of_our_proxy_may() -> None:
    OURS.check_origin("POST", b"http://localhost:7070", b"localhost:7070")
    OURS.check_origin("POST", b"https://proxy.example.org:8443", b"10.0.0.5:7070")


def test_whoever_only_reads_may_come_from_anywhere() -> None:
    OURS.check_origin("GET", b"http://evil.test", b"localhost:7070")
