"""Tokens: what they look like, and what is left lying about. Who somebody is: see test_directory.py."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from modelhall.core.errors import Broken, Denied, Rejected
from modelhall.trust.tokens import digest_of, first_token, new_token, read_key, read_token, token_in

TOKEN = "mh_" + "Ab3-_xYz" * 5 + "Q9k"
"""Always the same, so that the cases below have the same names in every worker."""


def test_a_token_is_256_bits_behind_its_prefix_and_never_the_same() -> None:
    token = new_token()
    assert token.startswith("mh_")
    assert len(token) == len(TOKEN) == len("mh_") + 43
    assert token != new_token()


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}".encode(), f"BEARER  {TOKEN} "])
def test_a_token_is_read_however_the_scheme_is_written(header: str | bytes) -> None:
    assert token_in(header) == TOKEN.encode()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        b"",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer\t{TOKEN}",
        "Bearer " + "x" * 100_000,
    ],
)
def test_what_is_no_bearer_token_is_denied_and_nothing_of_it_repeated(header: str | bytes | None) -> None:
    with pytest.raises(Denied) as denied:
        token_in(header)
    assert denied.value.status == 401
    assert TOKEN[5:] not in f"{denied.value} {denied.value!r}"


def test_what_is_kept_of_a_token_is_of_no_use_without_the_key() -> None:
    kept = digest_of(TOKEN.encode(), b"k" * 32)
    assert TOKEN.encode() not in kept
    assert kept != digest_of(TOKEN.encode(), b"o" * 32)


def test_the_first_start_makes_a_token_and_a_key(tmp_path: Path) -> None:
    token = first_token(tmp_path)
    assert read_token(tmp_path) == token
    assert len(read_key(tmp_path)) == 32


def test_later_starts_keep_the_token(tmp_path: Path) -> None:
    assert first_token(tmp_path) == first_token(tmp_path)


def test_only_the_owner_can_read_what_is_kept_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first_token(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"token": 0o600, "token.key": 0o600}


def test_removing_the_token_file_makes_a_new_token_under_the_same_key(tmp_path: Path) -> None:
    old, key = first_token(tmp_path), read_key(tmp_path)
    (tmp_path / "token").unlink()
    assert first_token(tmp_path) != old
    assert read_key(tmp_path) == key


def test_a_first_start_that_was_killed_after_the_key_is_finished_by_the_next(tmp_path: Path) -> None:
    first_token(tmp_path)
    (tmp_path / "token").unlink()
    assert first_token(tmp_path) == read_token(tmp_path)


@pytest.mark.parametrize("file", ["token.key", "token"])
def test_a_file_that_others_could_read_is_refused(tmp_path: Path, file: str) -> None:
    first_token(tmp_path)
    (tmp_path / file).chmod(0o644)
    with pytest.raises(Rejected, match="0644"):
        first_token(tmp_path)


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
    for start in (first_token, read_key):
        with pytest.raises(Broken, match=r"token\.key"):
            start(tmp_path)


def test_before_the_first_start_there_is_no_token(tmp_path: Path) -> None:
    assert read_token(tmp_path) is None
    with pytest.raises(Broken, match=r"token\.key"):
        read_key(tmp_path)
