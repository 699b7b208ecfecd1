"""Tokens: who gets in, and what is left lying about."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.errors import Broken, Denied, Rejected
from modelhall.trust.tokens import (
    Identity,
    TokenRecord,
    authenticator,
    authenticator_of,
    digest_of,
    first_token,
    new_token,
    read_token,
)

KEY = b"k" * 32
TOKEN = "mh_" + "Ab3-_xYz" * 5 + "Q9k"
"""Always the same, so that the cases below have the same names in every worker."""
AUTHENTICATE = authenticator(
    KEY, [TokenRecord(name="alice", project="research", digest=digest_of(TOKEN, KEY))]
)


def test_a_token_is_256_bits_behind_its_prefix_and_never_the_same() -> None:
    token = new_token()
    assert token.startswith("mh_")
    assert len(token) == len(TOKEN) == len("mh_") + 43
    assert token != new_token()


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}".encode(), f"BEARER  {TOKEN} "])
def test_whoever_sends_a_token_is_who_it_was_made_for(header: str | bytes) -> None:
    assert AUTHENTICATE(header) == Identity(name="alice", project="research")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        b"",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Bearer mh_{'z' * 43}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {digest_of(TOKEN, KEY)}",
        f"Bearer\t{TOKEN}",
        f"Bearer {TOKEN}\x00",
        "Bearer \udcff",
        b"Bearer \xff\xfe",
        "Bearer " + "x" * 100_000,
    ],
)
def test_everybody_else_is_denied(header: str | bytes | None) -> None:
    with pytest.raises(Denied) as denied:
        AUTHENTICATE(header)
    assert denied.value.status == 401


@given(header=st.one_of(st.text(), st.binary(), st.binary().map(lambda tail: b"Bearer " + tail)))
def test_whatever_is_sent_it_is_denied_and_not_an_error(header: str | bytes) -> None:
    with pytest.raises(Denied):
        AUTHENTICATE(header)


def test_a_denial_repeats_nothing_of_what_was_sent() -> None:
    for header in (f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN):
        with pytest.raises(Denied) as denied:
            AUTHENTICATE(header)
        assert TOKEN[5:] not in f"{denied.value} {denied.value!r}"


def test_no_representation_shows_a_token_or_its_digest() -> None:
    record = TokenRecord(name="alice", digest=digest_of(TOKEN, KEY))
    shown = f"{record!r} {record} {AUTHENTICATE!r} {AUTHENTICATE(f'Bearer {TOKEN}')!r}"
    assert TOKEN not in shown
    assert record.digest not in shown


def test_a_token_of_one_hall_is_not_known_to_another() -> None:
    other = authenticator(b"o" * 32, [TokenRecord(name="alice", digest=digest_of(TOKEN, KEY))])
    with pytest.raises(Denied):
        other(f"Bearer {TOKEN}")


def test_the_first_start_makes_a_token_that_opens_the_hall(tmp_path: Path) -> None:
    token = first_token(tmp_path)
    assert read_token(tmp_path) == token
    assert authenticator_of(tmp_path)(f"Bearer {token}") == Identity(name="first", project="default")


def test_later_starts_keep_the_token(tmp_path: Path) -> None:
    assert first_token(tmp_path) == first_token(tmp_path)


def test_only_the_owner_can_read_what_is_kept_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first_token(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"token": 0o600, "token.key": 0o600, "tokens.json": 0o600}


def test_the_records_hold_no_token(tmp_path: Path) -> None:
    token = first_token(tmp_path)
    records = (tmp_path / "tokens.json").read_text()
    assert token.removeprefix("mh_") not in records
    assert [record["name"] for record in json.loads(records)] == ["first"]


def test_removing_the_token_file_makes_a_new_token_and_ends_the_old(tmp_path: Path) -> None:
    old = first_token(tmp_path)
    (tmp_path / "token").unlink()
    new = first_token(tmp_path)
    authenticate = authenticator_of(tmp_path)
    assert authenticate(f"Bearer {new}").name == "first"
    with pytest.raises(Denied):
        authenticate(f"Bearer {old}")


@pytest.mark.parametrize("kept", [(), ("token.key",), ("token.key", "token")])
def test_a_first_start_that_was_killed_is_finished_by_the_next(tmp_path: Path, kept: tuple[str, ...]) -> None:
    first_token(tmp_path)
    for path in tmp_path.iterdir():
        if path.name not in kept:
            path.unlink()
    token = first_token(tmp_path)
    assert authenticator_of(tmp_path)(f"Bearer {token}").name == "first"


@pytest.mark.parametrize("start", [first_token, authenticator_of])
@pytest.mark.parametrize("file", ["token.key", "tokens.json"])
def test_a_file_that_others_could_read_is_refused(
    tmp_path: Path, file: str, start: Callable[[Path], object]
) -> None:
    first_token(tmp_path)
    (tmp_path / file).chmod(0o644)
    with pytest.raises(Rejected, match="0644"):
        start(tmp_path)


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mh_chosen-by-somebody")
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Rejected, match="token"):
        first_token(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"mh_short", b"\xff", TOKEN.encode() * 2])
def test_a_damaged_token_file_lets_nobody_in_and_is_named(tmp_path: Path, content: bytes) -> None:
    first_token(tmp_path)
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(Broken, match="token"):
        first_token(tmp_path)
    with pytest.raises(Broken, match="token"):
        read_token(tmp_path)


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    first_token(tmp_path)
    (tmp_path / "token.key").write_bytes(b"")
    for start in (first_token, authenticator_of):
        with pytest.raises(Broken, match=r"token\.key"):
            start(tmp_path)


def test_damaged_records_are_named(tmp_path: Path) -> None:
    first_token(tmp_path)
    (tmp_path / "tokens.json").write_text("[{")
    with pytest.raises(Broken, match=r"tokens\.json"):
        authenticator_of(tmp_path)


def test_before_the_first_start_there_is_no_token(tmp_path: Path) -> None:
    assert read_token(tmp_path) is None
    with pytest.raises(Broken, match=r"token\.key"):
        authenticator_of(tmp_path)
