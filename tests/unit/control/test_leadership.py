"""Of any number of control planes on one store one leads, whatever happens to clocks, wires and processes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_stores import Wire

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control.leadership import BEAT_S, DOUBT_S, RELEASED, SILENCE_S, Leadership
from modelhall.core.errors import NotNow, Stale
from modelhall.core.kinds import Key
from modelhall.core.ports.store import Event, Hold, Lead, Lease

TICK_S = 0.25
SOON_S = SILENCE_S + BEAT_S
"""Until then somebody leads again, when the leader has fallen silent."""
T = TypeVar("T")


class Clocks:
    """One machine's: the wall clock can be set, the other one only goes forward."""

    def __init__(self, monotonic: float) -> None:
        self._monotonic, self._wall = monotonic, 1.75e9

    def now(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._monotonic += seconds
        self._wall += seconds

    def set(self, by_s: float) -> None:
        self._wall += by_s


class Election:
    """Candidates on one store. At every tick it is seen to that no two of them think they lead."""

    def __init__(self, *names: str) -> None:
        self.store = MemoryStore()
        self.time = 0.0
        self.clocks = {name: Clocks(monotonic=1000.0 * place) for place, name in enumerate(names)}
        self.wires = {name: Wire(self.store) for name in names}
        self.asleep: set[str] = set()
        self.planes: dict[str, Leadership] = {}
        self._due: dict[str, float] = {}
        self._starts = 0
        for name in names:
            self.start(name)

    def start(self, name: str, *, alone: bool = False) -> None:
        """Start the control plane called `name`; one that runs is killed."""
        self._starts += 1
        self.planes[name] = Leadership(
            self.wires[name], self.clocks[name], f"{name}-{self._starts}", alone=alone  # type: ignore[arg-type]
        )  # fmt: skip
        self._due[name] = self.time

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while self.time < end:
            self._step()
            self.time += TICK_S
            for clock in self.clocks.values():
                clock.advance(TICK_S)
            self._check()

    def until_taken(self, name: str) -> float:
        """Seconds until `name` leads."""
        begun = self.time
        while self.planes[name].epoch is None:
            assert self.time - begun < 60
            self.advance(TICK_S)
        return self.time - begun

    def leader(self) -> tuple[str, int] | None:
        """Who leads, in which epoch."""
        return next(((n, p.epoch) for n, p in self.planes.items() if p.epoch is not None), None)

    def lease(self) -> Lease:
        found = at_once(self.store.lease())
        assert found is not None
        return found

    def write(self, epoch: int) -> None:
        """What a leader of this epoch does all the time; raises Stale."""
        event = Event(at=self.time, key=Key("run", "default", "r"), name="run.started", message="")
        at_once(self.store.commit([Lead(epoch=epoch), event]))

    def _step(self) -> None:
        for name, plane in self.planes.items():
            if name not in self.asleep and self._due[name] <= self.time:
                self._due[name] = self.time + at_once(plane.step())

    def _check(self) -> None:
        leading = [(name, plane.epoch) for name, plane in self.planes.items() if plane.epoch is not None]
        assert len(leading) <= 1, leading
        assert all(epoch == self.lease().epoch for _, epoch in leading), "and the store has it so"


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that never waits returns."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise RuntimeError("it waits")


def test_the_first_to_stand_leads_at_once_and_goes_on_leading() -> None:
    election = Election("a", "b", "c")
    election.advance(TICK_S)
    assert election.leader() == ("a", 1)
    election.advance(120)
    assert election.leader() == ("a", 1)


def test_a_silent_leader_is_replaced_by_one_of_the_others_and_not_before_it_has_been_silent_for_long() -> (
    None
):
    election = Election("a", "b", "c")
    election.advance(10)
    election.asleep.add("a")
    silent_s = 0.0
    while election.lease().epoch == 1:
        election.advance(TICK_S)
        silent_s += TICK_S
    assert SILENCE_S - BEAT_S <= silent_s <= SOON_S + TICK_S, "its last beat was up to a beat before"
    name, epoch = election.leader() or ("", 0)
    assert (name in "bc", epoch) == (True, 2)
    election.advance(30)
    assert election.leader() == (name, 2)


def test_silence_is_measured_from_when_it_was_first_seen() -> None:
    election = Election("a")
    election.advance(TICK_S)
    election.asleep.add("a")
    election.advance(3600)
    election.clocks["b"], election.wires["b"] = Clocks(0.0), Wire(election.store)
    election.start("b")
    assert SILENCE_S <= election.until_taken("b") <= SOON_S


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
@pytest.mark.parametrize("whose", ["a", "b"])
def test_a_wall_clock_that_is_set_changes_nothing(whose: str, jump_s: float) -> None:
    election = Election("a", "b")
    for _ in range(10):
        election.advance(2)
        election.clocks[whose].set(jump_s)
    assert election.leader() == ("a", 1)
    election.asleep.add("a")
    election.clocks[whose].set(jump_s)
    assert SILENCE_S - BEAT_S <= election.until_taken("b") <= SOON_S


def test_a_lease_that_is_given_back_is_taken_at_once() -> None:
    election = Election("a", "b")
    election.advance(5)
    at_once(election.planes["a"].release())
    assert election.planes["a"].epoch is None
    assert election.lease().holder == RELEASED
    election.asleep.add("a")
    assert election.until_taken("b") <= BEAT_S
    assert election.leader() == ("b", 2)


def test_giving_back_what_one_does_not_have_changes_nothing() -> None:
    election = Election("a", "b")
    election.advance(5)
    before = election.lease()
    at_once(election.planes["b"].release())
    assert election.lease() == before


@pytest.mark.parametrize("every", [2, 3])
def test_a_beat_whose_reply_is_lost_does_not_lose_the_lease(every: int) -> None:
    election = Election("a", "b")
    election.advance(5)
    for _ in range(20):
        election.wires["a"].replies_to_lose = 1
        election.advance(every * BEAT_S)
    assert election.leader() == ("a", 1)


def test_after_a_lost_reply_the_lease_can_still_be_given_back() -> None:
    election = Election("a", "b")
    election.advance(5)
    election.wires["a"].replies_to_lose = 1
    election.advance(BEAT_S)
    at_once(election.planes["a"].release())
    assert election.lease().holder == RELEASED


def test_one_who_does_not_hear_that_it_was_elected_stands_again() -> None:
    election = Election("a", "b")
    election.wires["a"].replies_to_lose = 1
    election.advance(BEAT_S)
    assert election.leader() == ("a", 2)


def test_a_leader_that_cannot_reach_the_store_steps_down_before_another_one_takes_over() -> None:
    election = Election("a", "b")
    election.advance(10)
    election.wires["a"].is_cut = True
    silent_s = 0.0
    while election.planes["a"].epoch is not None:
        election.advance(TICK_S)
        silent_s += TICK_S
    assert silent_s < SILENCE_S
    assert election.lease().epoch == 1, "nobody has taken over yet"
    election.advance(SOON_S)
    assert election.leader() == ("b", 2)


def test_a_leader_does_not_lead_while_the_store_keeps_it_waiting() -> None:
    election = Election("a")
    election.advance(10)
    plane, wire, clock = election.planes["a"], election.wires["a"], election.clocks["a"]
    led: list[bool] = []

    def wait() -> None:
        for _ in range(int(SILENCE_S / TICK_S)):
            clock.advance(TICK_S)
            led.append(plane.epoch is not None)

    wire.is_cut, wire.delay = True, wait
    at_once(plane.step())
    assert led[0], "a moment is no reason"
    assert not led[-1]
    assert plane.epoch is None


def test_a_beat_counts_from_when_it_was_sent_and_not_from_when_the_reply_came() -> None:
    election = Election("a")
    election.advance(10)
    plane, clock = election.planes["a"], election.clocks["a"]
    election.wires["a"].delay = lambda: clock.advance(DOUBT_S - TICK_S)
    at_once(plane.step())
    assert plane.epoch == 1
    clock.advance(TICK_S)
    assert plane.epoch is None, "others may have seen that beat nearly as long ago"


def test_a_store_that_is_away_for_a_moment_is_no_reason_to_step_down() -> None:
    election = Election("a", "b")
    election.advance(5)
    for _ in range(10):
        election.wires["a"].is_cut = True
        election.advance(BEAT_S)
        election.wires["a"].is_cut = False
        election.advance(2 * BEAT_S)
    assert election.leader() == ("a", 1)


def test_when_the_store_is_back_for_everybody_somebody_leads_in_a_new_epoch() -> None:
    election = Election("a", "b")
    election.advance(5)
    for wire in election.wires.values():
        wire.is_cut = True
    election.advance(60)
    assert election.leader() is None
    for wire in election.wires.values():
        wire.is_cut = False
    election.advance(SOON_S)
    name, epoch = election.leader() or ("", 0)
    assert (name in "ab", epoch) == (True, 2)


def test_a_leader_that_slept_does_not_lead_when_it_wakes_and_finds_who_does() -> None:
    election = Election("a", "b")
    election.advance(5)
    election.asleep.add("a")
    election.advance(60)
    assert election.leader() == ("b", 2)
    assert election.planes["a"].epoch is None, "also before it has asked"
    with pytest.raises(Stale):
        election.write(epoch=1)
    election.asleep.clear()
    election.advance(60)
    assert election.leader() == ("b", 2)


def test_a_leader_that_slept_and_was_not_missed_goes_on() -> None:
    election = Election("a")
    election.advance(5)
    election.asleep.add("a")
    election.advance(60)
    election.asleep.clear()
    election.advance(BEAT_S)
    assert election.leader() == ("a", 1)


def test_one_who_is_told_that_it_has_been_replaced_steps_down() -> None:
    election = Election("a", "b")
    election.advance(5)
    before = election.lease()
    at_once(election.store.commit([Hold(lease=Lease("somebody", 7, 0), before=before)]))
    election.planes["a"].lose("epoch 7 has taken over")
    assert election.leader() is None
    election.advance(SOON_S)
    assert (election.leader() or ("", 0))[1] == 8


def test_who_is_alone_waits_for_nobody_and_keeps_leading_without_a_beat() -> None:
    election = Election("a", "b")
    election.advance(5)
    del election.planes["b"]
    election.start("a", alone=True)
    election.advance(TICK_S)
    assert election.leader() == ("a", 2), "whoever led before was killed, whatever its lease says"
    before = election.lease()
    for is_cut in (False, True):
        election.wires["a"].is_cut = is_cut
        election.advance(60)
        assert election.leader() == ("a", 2)
        assert election.lease() == before


SOMEBODY = st.sampled_from(["a", "b", "c"])
HAPPENINGS = st.one_of(
    st.tuples(st.just("advance"), st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.5])),
    st.tuples(st.sampled_from(["sleep", "wake", "cut", "mend", "lose", "release", "kill", "set"]), SOMEBODY),
)


@settings(max_examples=200)
@given(st.lists(HAPPENINGS, max_size=40))
def test_whatever_happens_one_leads_and_nothing_of_those_before_is_written(
    happenings: list[tuple[str, Any]],
) -> None:
    election = Election("a", "b", "c")
    election.advance(TICK_S)
    newest = 1
    for what, who in happenings:
        _happen(election, what, who)
        assert election.lease().epoch >= newest, "epochs only grow"
        newest = election.lease().epoch
        election.write(newest)
        for epoch in range(1, newest):
            with pytest.raises(Stale):
                election.write(epoch)
    election.asleep.clear()
    for wire in election.wires.values():
        wire.is_cut, wire.replies_to_lose = False, 0
    election.advance(SOON_S + BEAT_S)
    assert election.leader() is not None


def _happen(election: Election, what: str, who: Any) -> None:
    match what:
        case "advance":
            election.advance(who)
        case "sleep":
            election.asleep.add(who)
        case "wake":
            election.asleep.discard(who)
        case "cut" | "mend":
            election.wires[who].is_cut = what == "cut"
        case "lose":
            election.wires[who].replies_to_lose += 1
        case "set":
            election.clocks[who].set(-3600.0)
        case "kill":
            election.start(who)
        case "release":
            try:
                at_once(election.planes[who].release())
            except NotNow:
                election.start(who)
