"""The gate of a door: who is let through, who is told to wait, and what the watchman hears of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from modelhall.core.access import Identity
from modelhall.core.errors import Denied, Rejected, TooMany
from modelhall.trust.firewall import firewall
from modelhall.trust.gate import FREE_AT_ADDRESS, FREE_WITH_CREDENTIAL, Gate, Rates
from modelhall.trust.signals import Signal
from modelhall.trust.sites import Sites
from modelhall.twin.clock import VirtualClock

ANNA = Identity(name="user anna", project="default", token="token default/anna")
HERE, THERE = "192.0.2.1", "198.51.100.1"


class Door:
    """A gate, and those who come to it."""

    def __init__(self, *, per_token: float = 1e6, per_address: float = 1e6, most: int = 1000) -> None:
        self.clock = VirtualClock()
        self.heard: list[Signal] = []
        self.gate = Gate(
            firewall=firewall("api", allow=[], deny=[]),
            sites=Sites([]),
            rates=Rates(per_token=per_token, per_address=per_address),
            clock=self.clock,
            tell=self.heard.append,
            most=most,
        )

    def comes(self, token: str, address: str = HERE, who: Identity | None = None) -> None:
        """One request with a token; nobody has it unless `who` is given."""
        headers = {b"host": b"localhost", b"authorization": f"Bearer {token}".encode()}
        self.gate.admit(address, "POST", headers)
        if who is None:
            self.gate.unknown(address, headers)
        else:
            self.gate.known(who, address, headers)

    def guesses(self, count: int, address: str = HERE) -> None:
        """So many different tokens that nobody has; those for which the door is locked are not even heard."""
        for number in range(count):
            _is_let_through(lambda number=number: self.comes(f"guess-{number}", address))

    def kinds(self) -> list[str]:
        return [signal.kind for signal in self.heard]


def _is_let_through(come: Callable[[], None]) -> bool:
    try:
        come()
    except TooMany:
        return False
    return True


def test_guessing_locks_an_address_and_no_other() -> None:
    door = Door()
    door.guesses(100)
    assert not _is_let_through(lambda: door.comes("anna", who=ANNA))
    assert _is_let_through(lambda: door.comes("anna", THERE, who=ANNA))
    assert door.kinds().count("unknown") == FREE_AT_ADDRESS + 1


def test_who_was_let_in_before_is_not_locked_out_by_a_neighbour() -> None:
    door = Door()
    door.comes("anna", who=ANNA)
    for _ in range(50):
        door.guesses(20)
        door.clock.advance(60)
        door.comes("anna", who=ANNA)


def test_a_token_that_is_no_longer_good_is_locked_out_with_the_rest() -> None:
    door = Door()
    door.comes("anna", who=ANNA)
    door.comes("anna")
    door.guesses(100)
    assert not _is_let_through(lambda: door.comes("anna", who=ANNA))


def test_a_stale_token_that_is_tried_again_and_again_locks_out_nobody_else() -> None:
    door = Door()
    tries = 0
    for _ in range(3600):
        tries += _is_let_through(lambda: door.comes("stale"))
        assert _is_let_through(lambda: door.comes(f"new-{door.clock.now()}", who=ANNA))
        door.clock.advance(1)
    assert tries < FREE_WITH_CREDENTIAL + 15
    assert door.kinds().count("unknown") == 1


def test_a_token_that_was_shown_a_moment_before_it_was_known_starts_afresh() -> None:
    door = Door()
    for _ in range(FREE_WITH_CREDENTIAL):
        door.comes("fresh")
    door.comes("fresh", who=ANNA)
    for _ in range(FREE_WITH_CREDENTIAL):
        assert _is_let_through(lambda: door.comes("fresh"))


def test_a_refusal_says_when_to_come_again_and_holds_until_then() -> None:
    door = Door()
    door.guesses(100)
    with pytest.raises(TooMany) as refused:
        door.comes("anna", who=ANNA)
    assert refused.value.status == 429
    door.clock.advance(refused.value.delay_s)
    door.comes("anna", who=ANNA)


def test_asking_without_a_token_is_no_guess() -> None:
    door = Door()
    for _ in range(1000):
        door.gate.admit(HERE, "GET", {b"host": b"localhost"})
        door.gate.unknown(HERE, {b"host": b"localhost"})
    assert door.heard == []


def test_a_token_and_an_address_may_ask_so_often_and_no_more() -> None:
    door = Door(per_token=8)
    done = sum(
        _is_let_through(lambda n=n: door.comes("anna", f"192.0.2.{n % 200}", ANNA)) for n in range(500)
    )
    assert done == 17
    door = Door(per_address=8)
    done = sum(_is_let_through(lambda n=n: door.comes(f"t{n}", who=ANNA)) for n in range(500))
    assert done == 17


def test_the_owner_at_the_machine_is_never_locked_out() -> None:
    door = Door()
    door.gate.expect(HERE, b"Bearer owner")
    door.guesses(100)
    door.comes("owner", who=ANNA)


def test_a_lock_found_at_the_other_door_holds_here_as_long() -> None:
    door = Door()
    door.gate.lock({HERE: door.clock.now() + 30})
    assert not _is_let_through(lambda: door.comes("anna", who=ANNA))
    door.clock.advance(31)
    assert _is_let_through(lambda: door.comes("anna", who=ANNA))


def test_a_token_put_out_to_be_found_looks_like_one_that_nobody_has() -> None:
    door = Door()
    with pytest.raises(Denied) as refused:
        door.comes("bait", who=Identity(name="canary default/bait", project="default"))
    assert refused.value.status == 401
    assert [(one.kind, one.who, one.place) for one in door.heard] == [("canary", "canary default/bait", HERE)]


def test_the_watchman_hears_once_in_a_while_who_comes_from_where() -> None:
    door = Door()
    for _ in range(100):
        door.comes("anna", who=ANNA)
        door.comes("anna", THERE, who=ANNA)
        door.clock.advance(1)
    assert [(one.who, one.place) for one in door.heard] == [(ANNA.token, HERE), (ANNA.token, THERE)]


def test_a_request_for_another_host_or_from_another_page_gets_nowhere() -> None:
    gate = Door().gate
    with pytest.raises(Rejected):
        gate.admit(HERE, "GET", {b"host": b"evil.test"})
    with pytest.raises(Denied):
        gate.admit(HERE, "POST", {b"host": b"localhost", b"origin": b"http://evil.test"})


def test_a_flood_of_addresses_and_tokens_is_not_remembered() -> None:
    door = Door(most=500)
    for number in range(5_000):
        door.comes(f"t{number}", f"10.{number % 250}.{number // 250}.1")
        door.comes(f"u{number}", f"11.{number % 250}.{number // 250}.1", who=ANNA)
    gate = door.gate
    tables = (gate._by_address._buckets, gate._addresses._tries, gate._credentials._tries, gate._welcome)
    assert all(len(table) <= 500 for table in tables)
