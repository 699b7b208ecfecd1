"""URLs of sources have one reading."""

from __future__ import annotations

import pytest

from modelhall.core.errors import Rejected
from modelhall.core.source_url import parse, secret_named, secrets_named


def test_a_url_is_taken_apart_as_it_stands() -> None:
    url = parse("https://Data.Example:8443/a%20b/c.csv?version=2#sha256=" + "0" * 64 + "&secret=web")
    assert (url.scheme, url.host, url.port) == ("https", "data.example", 8443)
    assert (url.path, url.inner, url.query) == ("/a%20b/c.csv", "a b/c.csv", "version=2")
    assert dict(url.told) == {"sha256": "0" * 64, "secret": "web"}
    assert parse("sqlite:///data/a.db").host == ""
    assert parse("http://[::1]:80/x").host == "::1"


def test_its_name_tells_nothing_that_may_be_a_secret() -> None:
    assert parse("https://h.example/a.csv?signature=1#secret=web").name == "https://h.example/a.csv"
    assert parse("postgresql://me@[::1]:5432/db").name == "postgresql://[::1]:5432/db"


@pytest.mark.parametrize(
    "url",
    [
        "http://allowed.example\\@127.0.0.1/x",
        "http://127.0.0.1\\.allowed.example/x",
        "http://allowed.example/\\..\\x",
        "http://127.0.0.1#@allowed.example/x",
        "http://allowed.example@127.0.0.1:80@other.example/x",
        "http://127.0.0.1 .allowed.example/x",
        "http://allowed.example\t@127.0.0.1/x",
        "http://allowed.example\r\nHost: other/x",
        "http:///127.0.0.1/x\x00",
        "http:127.0.0.1/x",
        "http:/127.0.0.1/x",
        "HTTP://127.0.0.1/x",
        " http://127.0.0.1/x",
        "http://allowed。example/x",
        "http://①②⑦.0.0.1/x",
        "http://%31%32%37.0.0.1/x",
        "http://[::1/x",
        "http://host:0/x",
        "http://host:70000/x",
        "http://host:port/x",
    ],
)
def test_a_url_with_two_readings_is_rejected_as_in_cve_2026_24779(url: str) -> None:
    # One parser took the part before the backslash for the host, the other the part after it, and a guard that
    # asked the first let the second connect to where it must not.
    with pytest.raises(Rejected) as raised:
        parse(url)
    assert raised.value.field == "source"


def test_a_password_in_a_url_is_rejected_and_not_repeated() -> None:
    with pytest.raises(Rejected, match="hall secret put") as raised:
        parse("postgresql://me:open-sesame@db.example/sales")
    assert "open-sesame" not in str(raised.value)


@pytest.mark.parametrize("told", ["sha256=abc", "secret=No", "secret=../x", "region=a/b", "sekret=x"])
def test_what_is_told_after_the_hash_has_its_form(told: str) -> None:
    with pytest.raises(Rejected):
        parse(f"https://h.example/a#{told}")


def test_the_secrets_of_sources_are_named_each_once() -> None:
    urls = [
        "s3://b/x#secret=lake",
        "s3://b/y#secret=lake",
        "/data/a#secret=b.csv",
        "package://p/x",
        "hf://datasets/a/b",
    ]
    assert secrets_named(urls) == ("lake",)
    assert secret_named("https://h.example/a.csv") is None
