"""Sources on the web, against a real server: digests, resuming, limits, and where they may not be fetched from."""

from __future__ import annotations

import gzip
import hashlib
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import real_web
from real_web import RealWeb
from source_places import bounded, loopback

from modelhall.adapters.source import _guard, hf, http, https
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.source import Access, Reach, SourceRules
from modelhall.trust import certificates, tls

CONTENT = b"x\n" + b"1\n" * 500_000


@pytest.fixture
def access(web: RealWeb, tmp_path: Path) -> Access:
    web.files["/a.csv"] = CONTENT
    return loopback(tmp_path / "fetched", web.port)


def fetched(url: str, access: Access) -> bytes:
    (found,) = http.find(url, access)
    return found.path.read_bytes()


def test_a_file_is_fetched_once_and_named_by_its_url(web: RealWeb, access: Access) -> None:
    (found,) = http.find(f"{web.url}/a.csv", access)
    assert found.path.name == "a.csv"
    assert found.name == f"{web.url}/a.csv"
    assert found.path.read_bytes() == CONTENT
    asked = len(web.asked)
    http.find(f"{web.url}/a.csv", access)
    assert len(web.asked) == asked


def test_a_file_that_is_what_its_digest_says_needs_no_second_look(web: RealWeb, access: Access) -> None:
    pinned = f"{web.url}/a.csv#sha256={hashlib.sha256(CONTENT).hexdigest()}"
    assert fetched(pinned, access) == CONTENT
    asked = len(web.asked)
    assert http.fingerprint(pinned, access) == hashlib.sha256(CONTENT).hexdigest()
    assert len(web.asked) == asked


def test_a_file_that_is_not_what_its_digest_says_is_rejected_and_not_kept(
    web: RealWeb, access: Access
) -> None:
    with pytest.raises(Rejected, match="as it is pinned to"):
        http.find(f"{web.url}/a.csv#sha256={'0' * 64}", access)
    assert access.folder is not None
    assert not [path for path in access.folder.rglob("*") if path.is_file() and path.stat().st_size > 1000]


def test_a_download_that_breaks_off_goes_on_where_it_was(web: RealWeb, access: Access) -> None:
    web.cut_after = 300_000
    assert fetched(f"{web.url}/a.csv", access) == CONTENT
    ranges = [headers.get("Range") for _, _, headers in web.asked]
    assert ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_download_that_breaks_off_for_good_goes_on_in_the_next_attempt(
    web: RealWeb, access: Access
) -> None:
    web.cut_after = 100_000
    with pytest.raises(NotNow, match="broke off after 500,000 of 1,000,002 bytes"):
        http.find(f"{web.url}/a.csv", access)
    web.cut_after = None
    assert fetched(f"{web.url}/a.csv", access) == CONTENT
    assert web.asked[-1][2]["Range"] == "bytes=500000-"


def test_a_file_that_changes_between_two_attempts_is_fetched_anew(web: RealWeb, access: Access) -> None:
    web.cut_after = 100_000
    with pytest.raises(NotNow):
        http.find(f"{web.url}/a.csv", access)
    web.cut_after, web.files["/a.csv"] = None, b"x\n2\n" * 300_000
    assert fetched(f"{web.url}/a.csv", access) == b"x\n2\n" * 300_000


def test_a_file_past_the_limit_is_rejected_before_it_is_fetched(web: RealWeb, access: Access) -> None:
    with pytest.raises(Rejected, match="source_download_bytes"):
        http.find(f"{web.url}/a.csv", bounded(access, download_bytes=1000))


def test_the_secret_of_a_url_goes_to_its_host_and_to_no_other(web: RealWeb, access: Access) -> None:
    with_secret = replace(access, secrets={"web": "open-sesame\n"})
    web.redirects = {"/here.csv": "/a.csv", "/there.csv": f"http://localhost:{web.port}/a.csv"}
    for path in ("/a.csv", "/here.csv", "/there.csv"):
        fetched(f"{web.url}{path}#secret=web", with_secret)
    sent = [headers.get("Authorization") for _, _, headers in web.asked]
    bearer = "Bearer open-sesame"
    assert sent == [bearer, bearer, bearer, bearer, None]
    with pytest.raises(Rejected, match="hall secret put web"):
        http.find(f"{web.url}/b.csv#secret=web", access)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [(404, Rejected, "404"), (401, Rejected, "#secret=NAME"), (500, NotNow, "500"), (429, NotNow, "429")],
)
def test_what_a_server_refuses_is_told_by_who_must_act(
    web: RealWeb, access: Access, status: int, error: type[Exception], says: str
) -> None:
    web.answers["/no.csv"] = (status, {"Retry-After": "77"})
    with pytest.raises(error, match=says) as raised:
        http.find(f"{web.url}/no.csv", access)
    if isinstance(raised.value, NotNow):
        assert raised.value.delay_s == 77


def test_a_server_that_is_not_there_is_asked_again_later(tmp_path: Path) -> None:
    with pytest.raises(NotNow, match=r"127\.0\.0\.1 cannot be reached"):
        http.find("http://127.0.0.1:9/a.csv", loopback(tmp_path, 9))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.3", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1",
        "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_a_name_of_a_private_address_is_rejected_before_anything_connects(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(Rejected, match="source_networks"):
        http.find("http://data.example/a.csv", Access(folder=tmp_path), resolve=lambda host: [address])


def test_a_name_with_one_public_and_one_private_address_is_rejected() -> None:
    with pytest.raises(Rejected, match=r"127\.0\.0\.1"):
        _guard.checked_address("data.example", 80, Reach(), lambda host: ["93.184.216.34", "127.0.0.1"])


@pytest.mark.parametrize("written", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost"])
def test_other_ways_to_write_loopback_are_rejected_as_loopback(
    web: RealWeb, tmp_path: Path, written: str
) -> None:
    reach = Reach(ports=(web.port,))
    with pytest.raises((Rejected, NotNow)):
        http.find(
            f"http://{written}:{web.port}/a.csv", Access(folder=tmp_path, rules=SourceRules(reach=reach))
        )
    assert web.asked == []


def test_a_public_address_may_be_fetched_from_and_a_port_must_be_allowed() -> None:
    assert (
        _guard.checked_address("data.example", 443, Reach(), lambda host: ["93.184.216.34"])
        == "93.184.216.34"
    )
    with pytest.raises(Rejected, match="source_ports"):
        _guard.checked_address("data.example", 22, Reach(), lambda host: ["93.184.216.34"])


def test_a_name_that_changes_its_address_after_the_check_changes_nothing(
    web: RealWeb, access: Access
) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["169.254.169.254"]])
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return next(answers)

    (found,) = http.find(f"http://data.example:{web.port}/a.csv", access, resolve=resolve)
    assert found.path.read_bytes() == CONTENT
    assert asked == ["data.example"]  # resolved once, so there was no second answer to be led by
    assert web.asked[0][2]["Host"] == f"data.example:{web.port}"


def test_a_redirect_to_a_private_address_is_rejected(web: RealWeb, access: Access) -> None:
    web.redirects["/r.csv"] = f"http://metadata.example:{web.port}/latest/meta-data"
    addresses = {"data.example": ["127.0.0.1"], "metadata.example": ["169.254.169.254"]}
    with pytest.raises(Rejected, match=r"metadata\.example is 169\.254\.169\.254"):
        http.find(f"http://data.example:{web.port}/r.csv", access, resolve=addresses.__getitem__)
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://data.example/x", "//other.example/x", "http://a\\@127.0.0.1/x", ""],
)
def test_a_redirect_to_what_is_no_web_address_is_rejected(web: RealWeb, access: Access, target: str) -> None:
    web.redirects["/r.csv"] = target
    with pytest.raises(Rejected):
        http.find(f"{web.url}/r.csv", access)
    assert len(web.asked) == 1


def test_redirects_without_an_end_are_rejected(web: RealWeb, access: Access) -> None:
    web.redirects["/r.csv"] = "/r.csv"
    with pytest.raises(Rejected, match="redirected more than 5 times"):
        http.find(f"{web.url}/r.csv", access)


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealWeb]:
    """The same server over TLS, with a certificate for data.example."""
    certificates.make(tmp_path / "tls", ["data.example"], time.time())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls" / tls.SERVER, tmp_path / "tls" / tls.SERVER_KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / tls.CA))
    with real_web.running(context) as web:
        web.files["/a.csv"] = CONTENT
        yield web


def test_over_tls_the_name_is_checked_though_the_address_is_pinned(secure: RealWeb, tmp_path: Path) -> None:
    access = loopback(tmp_path / "fetched", secure.port)
    to_loopback: _guard.Resolve = lambda host: ["127.0.0.1"]  # noqa: E731
    (found,) = https.find(f"https://data.example:{secure.port}/a.csv", access, resolve=to_loopback)
    assert found.path.read_bytes() == CONTENT
    assert https.fingerprint(f"https://data.example:{secure.port}/a.csv", access, resolve=to_loopback)
    with pytest.raises(Rejected, match=r"other\.example cannot be trusted"):
        https.find(f"https://other.example:{secure.port}/b.csv", access, resolve=to_loopback)


def test_a_redirect_from_tls_to_none_is_rejected(secure: RealWeb, tmp_path: Path) -> None:
    secure.redirects["/r.csv"] = "http://data.example/a.csv"
    with pytest.raises(Rejected, match="redirected from https to http"):
        https.find(
            f"https://data.example:{secure.port}/r.csv",
            loopback(tmp_path, secure.port),
            resolve=lambda host: ["127.0.0.1"],
        )


def test_a_packed_answer_that_nobody_asked_for_is_rejected(web: RealWeb, access: Access) -> None:
    web.answers["/p.csv"] = (200, {"Content-Encoding": "gzip"})
    with pytest.raises(Rejected, match="packed"):
        http.find(f"{web.url}/p.csv", access)


def test_a_packed_file_stays_packed(web: RealWeb, access: Access) -> None:
    web.files["/a.csv.gz"] = gzip.compress(CONTENT)
    assert gzip.decompress(fetched(f"{web.url}/a.csv.gz", access)) == CONTENT


def test_a_data_set_of_the_hub_is_fetched_by_its_commit(web: RealWeb, tmp_path: Path) -> None:
    files = [{"rfilename": name} for name in ("README.md", "data/b.csv", "data/a.csv")]
    listing = json.dumps({"sha": "c0ffee", "siblings": files}).encode()
    web.files = {
        "/api/datasets/org/name/revision/main": listing,
        "/datasets/org/name/resolve/c0ffee/data/a.csv": b"x\n1\n",
        "/datasets/org/name/resolve/c0ffee/data/b.csv": b"x\n2\n",
    }
    access = loopback(tmp_path / "fetched", web.port, hf_endpoint=web.url)
    found = hf.find("hf://datasets/org/name/data/*.csv", access)
    assert [(file.name, file.path.read_bytes()) for file in found] == [
        ("hf://datasets/org/name@c0ffee/data/a.csv", b"x\n1\n"),
        ("hf://datasets/org/name@c0ffee/data/b.csv", b"x\n2\n"),
    ]
    with pytest.raises(Rejected, match="nothing at 'no/"):
        hf.find("hf://datasets/org/name/no/*.csv", access)


def test_the_hub_is_not_asked_unless_the_operator_lets_sources_ask_it(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="hf_endpoint"):
        hf.find("hf://datasets/org/name/*.csv", Access(folder=tmp_path))


@pytest.mark.parametrize(
    "url",
    ["hf://spaces/org/name/x", "hf://datasets/org", "hf://datasets/../x/y", "hf://datasets/o/n/../../x"],
)
def test_an_hf_url_that_leads_elsewhere_is_rejected(tmp_path: Path, url: str) -> None:
    with pytest.raises(Rejected, match="is not hf://datasets/ORG/NAME"):
        hf.find(url, loopback(tmp_path, hf_mirror=str(tmp_path)))
