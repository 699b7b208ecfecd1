"""Detection that acts: each rule fires within seconds, and a day of ordinary use trips none of them.

Gates, journal, watchman and locks are the real ones, at two doors; time is the test's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelhall.app.watchman import Watchman
from modelhall.core.access import Identity
from modelhall.core.errors import Denied, NotNow, TooMany
from modelhall.trust import locks
from modelhall.trust.detection import Thresholds
from modelhall.trust.firewall import firewall
from modelhall.trust.gate import Gate, Rates
from modelhall.trust.signals import Journal, Signal, Summary
from modelhall.trust.sites import Sites
from modelhall.twin.clock import VirtualClock

LOOK_S = 0.5
DAY_S = 86_400
WITHIN_S = 5.0


@dataclass
class Noted:
    """A defence that locks for real and writes down the rest."""

    folder: Path
    clock: VirtualClock
    done: list[tuple[str, str]] = field(default_factory=list)
    failures: int = 0

    async def lock_address(self, address: str, until: float) -> None:
        self._note("lock", address)
        locks.lock(self.folder, address, until, self.clock.now())

    async def revoke(self, token: str) -> None:
        self._note("revoke", token)

    async def suspend(self, token: str) -> None:
        self._note("suspend", token)

    async def read_only(self, reason: str) -> None:
        self._note("read-only", reason)

    async def alert(self, message: str) -> None:
        self._note("alert", message)

    def _note(self, act: str, subject: str) -> None:
        if self.failures:
            self.failures -= 1
            raise NotNow("the store is away", delay_s=1.0)
        self.done.append((act, subject))


class Halls:
    """The API's gate in one process, the gateway's in another, and the watchman of both."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.clock = VirtualClock()
        self.defence = Noted(folder, self.clock)
        self.watchman = Watchman(folder, self.defence, Thresholds())
        self.api = self._gate(self.watchman.hear)
        self._reports, self._journal = Summary(), Journal(folder)
        self.gateway = self._gate(self._reports.note)
        self._followers = [(gate, locks.Follower(folder)) for gate in (self.api, self.gateway)]

    @property
    def done(self) -> list[tuple[str, str]]:
        return self.defence.done

    def pass_time(self, seconds: float) -> None:
        """What goes on beside the doors, every half a second of it."""
        for _ in range(max(1, round(seconds / LOOK_S))):
            self.clock.advance(LOOK_S)
            if reports := self._reports.take():
                self._journal.write(reports)
            self._runner.run(self.watchman.look())
            for gate, follower in self._followers:
                if (news := follower.news()) is not None:
                    gate.lock(news)

    def comes(self, gate: Gate, address: str, token: str, who: Identity | None = None) -> str:
        """One request, and how it ends."""
        headers = {b"host": b"localhost", b"authorization": f"Bearer {token}".encode()}
        try:
            gate.admit(address, "POST", headers)
            if who is None:
                gate.unknown(address, headers)
                return "unknown"
            gate.known(who, address, headers)
        except (TooMany, Denied) as error:
            return str(error.status)
        return "in"

    def _gate(self, tell: Callable[[Signal], None]) -> Gate:
        rates = Rates(per_token=1e4, per_address=1e4)
        return Gate(
            firewall=firewall("api", allow=[], deny=[]),
            sites=Sites([]),
            rates=rates,
            clock=self.clock,
            tell=tell,
        )


@pytest.fixture
def halls(tmp_path: Path) -> Iterator[Halls]:
    with asyncio.Runner() as runner:
        yield Halls(tmp_path, runner)


def token(name: str) -> Identity:
    return Identity(name=f"token default/{name}", project="default", token=f"token default/{name}")


def until_done(halls: Halls, what: tuple[str, str]) -> None:
    """See that it is done within five seconds."""
    started = halls.clock.monotonic()
    while what not in halls.done:
        assert halls.clock.monotonic() - started < WITHIN_S, halls.done
        halls.pass_time(LOOK_S)


@pytest.mark.parametrize("door", ["api", "gateway"])
def test_guessing_at_one_door_locks_the_address_at_both(halls: Halls, door: str) -> None:
    guesses = iter(range(1000))
    started = halls.clock.monotonic()
    while ("lock", "203.0.113.6") not in halls.done:
        assert halls.clock.monotonic() - started < WITHIN_S
        for _ in range(5):
            halls.comes(getattr(halls, door), "203.0.113.6", f"guess-{next(guesses)}")
        halls.pass_time(LOOK_S)
    halls.pass_time(LOOK_S)
    for gate in (halls.api, halls.gateway):
        assert halls.comes(gate, "203.0.113.6", "anna", token("anna")) == "429"
        assert halls.comes(gate, "203.0.113.7", "anna", token("anna")) == "in"
    halls.clock.advance(901)
    assert halls.comes(halls.gateway, "203.0.113.6", "anna", token("anna")) == "in"


def test_a_token_used_from_many_addresses_is_revoked(halls: Halls) -> None:
    for number in range(20):
        halls.comes(halls.gateway, f"203.0.113.{number}", "stolen", token("stolen"))
        halls.comes(halls.api, f"203.0.113.{number}", "bens", Identity(name="user ben", project="default"))
    until_done(halls, ("revoke", "token default/stolen"))
    assert [act for act, _ in halls.done] == ["revoke"]


def test_a_token_that_spreads_over_both_doors_is_seen_as_one(halls: Halls) -> None:
    for number in range(20):
        gate = (halls.api, halls.gateway)[number % 2]
        halls.comes(gate, f"203.0.113.{number}", "stolen", token("stolen"))
        halls.pass_time(10)
    assert halls.done == [("revoke", "token default/stolen")]


@pytest.mark.parametrize("door", ["api", "gateway"])
def test_whoever_tries_the_doors_of_other_projects_is_suspended(halls: Halls, door: str) -> None:
    for number in range(40):
        getattr(halls, door).refused(token("nosy"), f"project-{number}", "203.0.113.6")
    until_done(halls, ("suspend", "token default/nosy"))


@pytest.mark.parametrize("door", ["api", "gateway"])
def test_a_canary_token_raises_the_alarm_and_locks_the_address(halls: Halls, door: str) -> None:
    bait = Identity(name="canary default/bait", project="default")
    assert halls.comes(getattr(halls, door), "203.0.113.6", "bait", bait) == "401"
    until_done(halls, ("lock", "203.0.113.6"))
    assert ("alert", "canary default/bait was used from 203.0.113.6") in halls.done
    assert halls.comes(halls.api, "203.0.113.6", "anna", token("anna")) == "429"


def test_a_broken_audit_chain_makes_the_hall_read_only(halls: Halls) -> None:
    halls.watchman.hear(Signal(kind="broken-chain", at=halls.clock.now(), who="entry 17"))
    halls.pass_time(LOOK_S)
    reason = "the chain of the audit log is broken: entry 17"
    assert halls.done == [("read-only", reason), ("alert", reason)]


def test_what_could_not_be_done_is_tried_until_it_is(halls: Halls) -> None:
    halls.defence.failures = 3
    for number in range(20):
        halls.comes(halls.gateway, f"203.0.113.{number}", "stolen", token("stolen"))
    until_done(halls, ("revoke", "token default/stolen"))


def test_a_watchman_that_starts_again_does_nothing_twice(halls: Halls, tmp_path: Path) -> None:
    for number in range(20):
        halls.comes(halls.gateway, f"203.0.113.{number}", "stolen", token("stolen"))
    until_done(halls, ("revoke", "token default/stolen"))
    halls.done.clear()
    halls.watchman = Watchman(tmp_path, halls.defence, Thresholds())
    halls.pass_time(2)
    assert halls.done == []


def test_a_flood_of_bad_tokens_from_everywhere_writes_little(halls: Halls, tmp_path: Path) -> None:
    for number in range(5_000):
        address = f"10.{number // 250}.{number % 250}.1"
        halls.comes(halls.gateway, address, f"guess-{number}")
    halls.pass_time(LOOK_S)
    assert sum(path.stat().st_size for path in tmp_path.glob("signals-*.jsonl")) < 100_000


def test_a_day_of_ordinary_use_trips_nothing(halls: Halls) -> None:
    """Typed tokens with mistakes, laptops that roam over three networks, a script whose token is stale behind the
    address of an office, tokens that are rotated, and now and then a look at the wrong project."""
    chance = random.Random(7)
    office = "198.51.100.1"
    laptops = {f"laptop-{n}": (office, f"192.0.2.{n}", f"203.0.113.{n}") for n in range(12)}
    secrets = dict.fromkeys(laptops, 0)
    refused = let_in = tries = 0
    for second in range(DAY_S):
        halls.clock.advance(max(0.0, second - halls.clock.monotonic()))
        tries += halls.comes(halls.gateway, office, "stale") == "unknown"
        if second % 5:
            continue
        name = chance.choice(list(laptops))
        address = chance.choice(laptops[name])
        gate = chance.choice((halls.api, halls.gateway))
        if chance.random() < 0.002:
            halls.comes(gate, address, f"{name}-typed-{second}")
        if chance.random() < 0.001:
            halls.comes(
                gate, address, f"{name}-{secrets[name]}"
            )  # still shown, when it has just been rotated
            secrets[name] += 1
        if chance.random() < 0.01:
            gate.refused(token(name), "elsewhere", address)
        outcome = halls.comes(gate, address, f"{name}-{secrets[name]}", token(name))
        let_in, refused = let_in + (outcome == "in"), refused + (outcome != "in")
        if second % 300 == 0:
            halls.pass_time(LOOK_S)
    assert halls.done == []
    assert (let_in, refused) == (DAY_S // 5, 0)
    assert tries < 120
