"""Objects in S3, against a real server that speaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from source_places import bounded, loopback

from modelhall.adapters.source import s3
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.source import Access

obstore = pytest.importorskip("obstore")
import real_seaweed  # noqa: E402 - it needs the library

FILES = {
    "p/a.csv": b"x\n1\n",
    "p/b.csv": b"x\n2\n",
    "p/deep/c.csv": b"x\n3\n",
    "p/.hidden.csv": b"",
    "pq.csv": b"x\n",
}


@pytest.fixture
def access(seaweed: Callable[[], str], tmp_path: Path) -> Access:
    url = seaweed()
    bucket = real_seaweed.bucket(url)
    for name, content in FILES.items():
        obstore.put(bucket, name, content)
    keys = json.dumps(real_seaweed.KEYS)
    return replace(loopback(tmp_path, s3_endpoint=url), secrets={"lake": keys, "odd": "{}x"})


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("p/a.csv", ["p/a.csv"]),
        ("p", ["p/a.csv", "p/b.csv", "p/deep/c.csv"]),
        ("p/", ["p/a.csv", "p/b.csv", "p/deep/c.csv"]),
        ("p/*.csv", ["p/a.csv", "p/b.csv"]),
        ("p/*/c.csv", ["p/deep/c.csv"]),
        ("p*.csv", ["pq.csv"]),
    ],
)
def test_a_path_means_an_object_all_below_it_or_what_fits(
    access: Access, pattern: str, keys: list[str]
) -> None:
    found = s3.find(f"s3://data/{pattern}#secret=lake", access)
    assert [file.name.removeprefix("s3://data/") for file in found] == keys
    assert [file.path.read_bytes() for file in found] == [FILES[key] for key in keys]


def test_a_large_object_comes_whole(access: Access) -> None:
    content = bytes(range(256)) * 100_000
    obstore.put(real_seaweed.bucket(access.rules.reach.s3_endpoint), "large.csv", content)
    (found,) = s3.find("s3://data/large.csv#secret=lake", access)
    assert found.path.read_bytes() == content


def test_more_than_the_limit_is_rejected_before_it_is_fetched(access: Access) -> None:
    with pytest.raises(Rejected, match="source_download_bytes"):
        s3.find("s3://data/p#secret=lake", bounded(access, download_bytes=5))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://data/p/a.csv", "may not be read so"),
        ("s3://data/p/a.csv#secret=odd", "is not JSON with access_key_id"),
        ("s3://data/p/a.csv#secret=no", "hall secret put no"),
        ("s3://no-such-bucket/a.csv#secret=lake", "nothing found at s3://no-such-bucket/a.csv"),
        ("s3://da_ta/a.csv#secret=lake", "is not s3://BUCKET"),
        ("s3://data:80/a.csv#secret=lake", "is not s3://BUCKET"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_what_would_do(access: Access, url: str, says: str) -> None:
    with pytest.raises(Rejected, match=says) as raised:
        s3.find(url, access)
    assert real_seaweed.KEYS["secret_access_key"] not in str(raised.value)


def test_credentials_of_the_machine_are_never_used_for_a_users_url(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", real_seaweed.KEYS["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", real_seaweed.KEYS["secret_access_key"])
    with pytest.raises(Rejected, match="may not be read so"):
        s3.find("s3://data/p/a.csv", access)


def test_a_service_that_is_not_there_is_asked_again_later(tmp_path: Path) -> None:
    with pytest.raises(NotNow):
        s3.fingerprint("s3://data/a.csv", loopback(tmp_path, s3_endpoint="http://127.0.0.1:9"))
