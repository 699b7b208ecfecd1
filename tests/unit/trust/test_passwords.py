"""What is kept of passwords."""

from __future__ import annotations

import unicodedata

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from modelhall.core.errors import Rejected
from modelhall.trust import passwords
from modelhall.trust.passwords import Passwords

KEY = b"k" * 32
GOOD = "correct horse battery"


class Counting:
    """Argon2 as it is, and how often it was asked."""

    def __init__(self, real: PasswordHasher) -> None:
        self.hash = real.hash
        self.asked: list[str] = []
        self._real = real

    def verify(self, kept: str, password: bytes) -> bool:
        self.asked.append(kept)
        return self._real.verify(kept, password)


def test_a_password_is_known_again_and_no_other_is() -> None:
    words = Passwords(KEY)
    kept = words.hash(GOOD)
    assert words.is_right(GOOD, kept)
    assert not words.is_right(GOOD + " ", kept)
    assert not words.is_right("", kept)


def test_what_is_kept_is_of_no_use_without_the_key() -> None:
    kept = Passwords(KEY).hash(GOOD)
    assert not Passwords(b"j" * 32).is_right(GOOD, kept)
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(kept, GOOD)


def test_what_is_kept_is_argon2id_with_the_parameters_that_are_documented() -> None:
    kept = Passwords(KEY).hash(GOOD)
    found = extract_parameters(kept)
    assert (found.type.name, found.time_cost, found.memory_cost, found.parallelism) == ("ID", 3, 65536, 1)


def test_two_users_with_one_password_cannot_be_told_by_what_is_kept() -> None:
    words = Passwords(KEY)
    assert words.hash(GOOD) != words.hash(GOOD)


@pytest.mark.parametrize("short", ["", "elevencharr", "ﬀ" * 5])
def test_a_password_has_twelve_characters(short: str) -> None:
    with pytest.raises(Rejected, match="at least 12") as refused:
        Passwords(KEY).hash(short)
    assert not short or short not in refused.value.message


@pytest.mark.parametrize("odd", ["aaaaaaaaaaaa", "密码密码密码密码密码密码", "            "])
def test_nothing_else_is_asked_of_it(odd: str) -> None:
    words = Passwords(KEY)
    assert words.is_right(odd, words.hash(odd))


def test_a_password_is_the_same_on_every_keyboard() -> None:
    composed = unicodedata.normalize("NFC", "zwölf Zeichen ä")
    words = Passwords(KEY)
    assert words.is_right(unicodedata.normalize("NFD", composed), words.hash(composed))


def test_to_check_where_nothing_is_kept_costs_one_argon2_of_the_same_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting(passwords._argon2)
    monkeypatch.setattr(passwords, "_argon2", counting)
    words = Passwords(KEY)
    kept = words.hash(GOOD)
    assert not words.is_right("wrong password", kept)
    assert not words.is_right("wrong password", "")
    of_user, of_nobody = map(extract_parameters, counting.asked)
    assert of_user == of_nobody
