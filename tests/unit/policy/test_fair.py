"""What holds for fair shares, backfill and making room: on its own facts, and over days of virtual time."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhall.policy import deciding
from modelhall.policy.deciding import begin, parts_of, typical_of
from modelhall.policy.schedule import (
    Asking,
    Decision,
    Facts,
    Held,
    Hold,
    Part,
    Placement,
    Preemption,
    Room,
    RunKey,
    Share,
)  # fmt: skip
from modelhall.policy.standing import Standing

HOUR_S, DAY_S = 3600.0, 86400.0
few = settings(max_examples=10, deadline=None)


def ask(name: str, gpus: float = 1, **fields: object) -> Asking:
    some = {"project": "red", "cpus": 1.0, "memory_bytes": 0, "serves": False, "priority": 0, "since": 0.0}
    return Asking(name=name, gpus=gpus, **{**some, **fields})  # type: ignore[arg-type]


def room(name: str, gpus: int = 8, **fields: object) -> Room:
    some = {"cpus": 64.0, "memory_bytes": 0, "free_cpus": 64.0, "free_memory_bytes": 0}
    return Room(name=name, gpus=gpus, **{**some, **fields})  # type: ignore[arg-type]


def held(asking: Asking, node: str, gpus: Sequence[int], **fields: object) -> Held:
    part = Part(node, asking.workers, tuple((number, 1000) for number in gpus))
    return Held(asking=asking, parts=(part,), **{"started_at": 0.0, **fields})  # type: ignore[arg-type]


def full(*there: Held, name: str = "n", gpus: int = 8, **fields: object) -> Room:
    """A node with these on it."""
    taken = {number for one in there for part in one.parts for number, _ in part.gpus}
    free = tuple(0.0 if number in taken else 1.0 for number in range(gpus))
    return room(name, gpus, free_gpus=free, free_cpus=64.0 - len(there), **fields)


def decide(
    queue: Sequence[Asking], nodes: Sequence[Room], there: Sequence[Held] = (), *, now: float = 100.0,
    schedule: str = "fair", placement: str = "best-fit", **shares: Share,
) -> list[Decision]:  # fmt: skip
    facts = Facts(now=now, queue=queue, nodes=nodes, projects=shares, held=there)
    return deciding.policy(schedule, placement)(facts)


def started(decisions: Sequence[Decision]) -> set[str]:
    return {d.run for d in decisions if isinstance(d, Placement)}


def going(decisions: Sequence[Decision]) -> set[str]:
    return {d.run for d in decisions if isinstance(d, Preemption)}


def own(gpus: float, used: float = 0.0) -> Share:
    """What is a project's own, and lent while it leaves it."""
    return Share(used_cpus=0.0, most_cpus=None, used_gpus=used, most_gpus=gpus, borrows=True)


def test_the_next_turn_is_that_of_the_project_with_the_least_over_its_weight() -> None:
    queue = [ask(f"{project}-{n}", project=project) for project in ("red", "blue") for n in range(8)]
    shares = {
        "red": Share(used_cpus=0, most_cpus=None, weight=1),
        "blue": Share(used_cpus=0, most_cpus=None, weight=3),
    }
    first = started(decide(queue, [room("n")], **shares))
    assert sum(name.startswith("blue") for name in first) == 6


def test_who_used_much_lately_waits_for_those_who_did_not() -> None:
    queue = [ask("of-red"), ask("of-blue", project="blue", since=50.0)]
    shares = {"red": Share(used_cpus=0, most_cpus=None, use=0.4), "blue": Share(used_cpus=0, most_cpus=None)}
    assert started(decide(queue, [room("n", 1)], **shares)) == {"of-blue"}


def test_a_point_of_priority_is_worth_an_hour_of_waiting() -> None:
    node = room("n", 1)
    old, urgent = ask("old", since=0.0), ask("urgent", since=3 * HOUR_S, priority=2)
    assert started(decide([old, urgent], [node], now=4 * HOUR_S)) == {"old"}
    assert started(decide([old, replace(urgent, priority=4)], [node], now=4 * HOUR_S)) == {"urgent"}


def test_a_run_with_a_deadline_goes_first_when_it_is_about_to_be_too_late() -> None:
    now, node = 10 * DAY_S, room("n", 1)
    old = ask("old", since=now - 2 * HOUR_S)
    due = ask("due", since=now - 60, deadline=now + 3 * HOUR_S, expected_s=2 * HOUR_S)
    assert started(decide([old, due], [node], now=now)) == {"due"}
    assert started(decide([old, replace(due, deadline=now + 3 * DAY_S)], [node], now=now)) == {"old"}


def test_only_who_is_not_in_the_way_of_the_first_overtakes_him() -> None:
    long = held(ask("long", 6), "n", range(6), ends_at=1000.0)
    first = ask("first", 8, since=1.0)
    short, endless = ask("short", 2, since=2.0, expected_s=800.0), ask("endless", 2, since=3.0)
    assert started(decide([first, short], [full(long)], [long])) == {"short"}
    assert started(decide([first, endless], [full(long)], [long])) == set()
    slow = replace(short, expected_s=1000.0)
    assert started(decide([first, slow], [full(long)], [long])) == set()
    assert started(decide([first, endless], [full(long), room("m", 2)], [long])) == {"endless"}


def test_with_conservative_backfill_nobody_is_in_the_way_of_the_second_either() -> None:
    one, other = (held(ask(f"on-{n}", 6), n, range(6), ends_at=1000.0) for n in ("n", "m"))
    queue = [ask("first", 8, since=1.0), ask("second", 7, since=2.0), ask("endless", 2, since=3.0)]
    nodes = [full(one), full(other, name="m")]
    assert started(decide(queue, nodes, [one, other], schedule="backfill")) == {"endless"}
    assert started(decide(queue, nodes, [one, other], schedule="conservative")) == set()
    queue[-1] = replace(queue[-1], expected_s=800.0)
    assert started(decide(queue, nodes, [one, other], schedule="conservative")) == {"endless"}


def test_behind_one_that_is_too_long_a_shorter_one_of_the_same_size_is_found() -> None:
    long = held(ask("long", 6), "n", range(6), ends_at=1000.0)
    queue = [
        ask("first", 8, since=1.0),
        ask("endless", 2, since=2.0),
        ask("short", 2, since=3.0, expected_s=60.0),
    ]
    assert started(decide(queue, [full(long)], [long])) == {"short"}


def test_what_is_lent_is_claimed_back_from_whoever_borrows_it() -> None:
    there = [held(ask(f"lent-{n}", 2, project="blue", since=1.0), "n", (2 * n, 2 * n + 1)) for n in range(4)]
    shares = {"red": own(4), "blue": own(4, used=8)}
    decisions = decide([ask("mine", 4)], [full(*there)], there, **shares)
    assert len(going(decisions)) == 2
    assert started(decisions) == set()
    more = decide([ask("mine", 6)], [full(*there)], there, **shares)
    assert going(more) == set()


def test_what_is_free_goes_to_its_owner_before_anybody_borrows_it() -> None:
    queue = [ask("mine", 4, since=50.0), ask("lent", 8, project="blue", since=1.0)]
    decisions = decide(queue, [room("n")], red=replace(own(4), use=0.9))
    assert (started(decisions), going(decisions)) == ({"mine"}, set())


def test_of_those_who_can_make_room_the_ones_go_who_lose_least() -> None:
    old = held(ask("old", 4, project="blue"), "n", range(4), started_at=0.0)
    young = held(ask("young", 4, project="blue"), "n", range(4, 8), started_at=900.0)
    kept = replace(young, asking=replace(young.asking, preemptible=False))
    shares = {"red": own(4), "blue": own(0, used=8)}
    assert going(decide([ask("mine", 4)], [full(old, young)], [old, young], now=1000.0, **shares)) == {
        "young"
    }
    assert going(decide([ask("mine", 4)], [full(old, kept)], [old, kept], now=1000.0, **shares)) == {"old"}


def test_who_has_been_asked_to_go_is_waited_for_and_nobody_else_is_asked() -> None:
    going_now = held(ask("a", 4, project="blue"), "n", range(4), leaving=True)
    other = held(ask("b", 4, project="blue"), "n", range(4, 8))
    shares = {"red": own(4), "blue": own(0, used=8)}
    small = ask("small", 1, project="blue", since=5.0, expected_s=1.0)
    decisions = decide([ask("mine", 4), small], [full(going_now, other)], [going_now, other], **shares)
    assert going(decisions) == set()
    half_gone = full(other, name="n")
    assert started(decide([ask("mine", 4), small], [half_gone], [other], **shares)) == {"mine"}


def test_what_becomes_free_bit_by_bit_is_not_taken_by_those_who_were_to_leave_it() -> None:
    gone_soon = held(ask("a", 2, project="blue"), "n", range(2), leaving=True)
    stays = held(ask("b", 4, project="blue"), "n", range(4, 8))
    shares = {"red": own(4), "blue": own(0, used=6)}
    back = ask("back", 2, project="blue", since=-9.0)
    decisions = decide([ask("mine", 4), back], [full(gone_soon, stays)], [gone_soon, stays], **shares)
    assert (started(decisions), going(decisions)) == (set(), set())


def test_who_waits_for_a_quota_of_gpus_is_in_the_way_of_those_who_ask_for_gpus_alone() -> None:
    limit = Share(used_cpus=0.0, most_cpus=None, used_gpus=1.0, most_gpus=2.0)
    queue = [ask("two", 2, since=1.0), ask("one", 1, since=2.0), ask("none", 0, since=3.0)]
    decisions = decide(queue, [room("n")], red=limit)
    assert started(decisions) == {"none"}
    reasons = {d.run: d.reason for d in decisions if isinstance(d, Hold)}
    assert reasons["two"] == "project red holds 1 of its 2 GPUs, and this asks for 1 CPUs and 2 GPUs"


def test_replicas_take_from_batch_work_and_never_from_each_other() -> None:
    batch = held(ask("batch", 8, project="blue"), "n", range(8))
    replica = ask("replica", 1, serves=True, of="chat")
    assert going(decide([replica], [full(batch)], [batch])) == {"batch"}
    serving = replace(batch, asking=replace(batch.asking, serves=True))
    assert going(decide([replica, ask("urgent", priority=900)], [full(serving)], [serving])) == set()


def test_replicas_of_a_service_are_kept_apart() -> None:
    queue = [ask(f"r{n}", 0, serves=True, of="chat") for n in range(3)]
    decisions = decide(queue, [room(f"n{n}") for n in range(3)], schedule="first-fit")
    assert {d.node for d in decisions if isinstance(d, Placement)} == {"n0", "n1", "n2"}


def test_an_urgent_run_takes_from_less_urgent_ones_of_its_own_project_alone() -> None:
    mine, theirs = (
        held(ask("mine", 4), "n", range(4)),
        held(ask("theirs", 4, project="blue"), "n", range(4, 8)),
    )
    there = full(mine, theirs)
    assert going(decide([ask("urgent", 4, priority=100)], [there], [mine, theirs])) == {"mine"}
    assert going(decide([ask("keen", 4, priority=99)], [there], [mine, theirs])) == set()


def test_a_part_of_a_gpu_is_put_beside_another_and_never_over_the_whole() -> None:
    queue = [ask(f"half-{n}", 0.5, since=float(n)) for n in range(3)] + [ask("most", 0.7, since=9.0)]
    decisions = decide(queue, [room("n", 2)])
    gpus: dict[int, int] = defaultdict(int)
    for d in decisions:
        if isinstance(d, Placement):
            for number, milli in d.parts[0].gpus:
                gpus[number] += milli
    assert sorted(gpus.values()) == [500, 1000]
    (hold,) = (d for d in decisions if isinstance(d, Hold))
    assert "node n has 63 of 64 CPUs" not in hold.reason
    assert "0.5 of 2 GPUs free" in hold.reason


def test_a_gang_is_placed_all_or_none_over_as_few_racks_as_will_do() -> None:
    racks = [room(f"{rack}{n}", labels={"rack": rack}) for rack in "ab" for n in range(3)]
    gang = ask("gang", 8, workers=3, fewest_workers=3, spans=True, pack="rack")
    one_taken = [room("a0", labels={"rack": "a"}, free_gpus=(0.0,) * 8), *racks[1:]]
    (placed,) = decide([gang], one_taken)
    assert isinstance(placed, Placement)
    assert {part.node for part in placed.parts} == {"b0", "b1", "b2"}
    apart = replace(gang, workers=2, fewest_workers=2, pack="", spread="rack")
    (placed,) = decide([apart], racks)
    assert isinstance(placed, Placement)
    assert {part.node[0] for part in placed.parts} == {"a", "b"}
    assert started(decide([replace(gang, workers=6, fewest_workers=6)], one_taken)) == set()


def test_what_never_fits_is_told_the_largest_that_would() -> None:
    nodes = [room("n", 4, gpu_type="T4", labels={"zone": "west"})]
    asked = [
        ask("many", 8, since=1), ask("other", 1, gpu_type="H100", since=2),
        ask("east", 1, labels=(("zone", "east"),), since=3),
    ]  # fmt: skip
    reasons = [d.reason for d in decide(asked, nodes) if isinstance(d, Hold) and d.never]
    assert reasons == [
        "asks for 1 CPUs and 8 GPUs and 0.0 GiB; the largest node, n, has 64 and 0.0 GiB and 4 GPUs",
        "asks for 1 CPUs and 1 H100 GPU; of GPUs there is: T4",
        "asks for a node with zone=east, and there is none",
    ]


class World:
    """A hall whose runs take as long as they take, whatever was expected."""

    def __init__(self, nodes: int, shares: dict[str, Share], *, schedule: str = "fair") -> None:
        rooms = [room(f"n{n}") for n in range(nodes)]
        self.parts = parts_of(schedule, "best-fit")
        facts = Facts(now=0.0, queue=[], nodes=rooms, projects=shares)
        self.standing: Standing = begin(facts, self.parts, typical_of(rooms, []))
        self.takes_s: dict[RunKey, float] = {}
        self.ends: dict[RunKey, float] = {}
        self.held_s: dict[str, float] = defaultdict(float)
        self.preempted: dict[RunKey, int] = defaultdict(int)

    def ask(self, asking: Asking, takes_s: float) -> None:
        self.takes_s[asking.key] = takes_s
        self.standing.line.add(asking)

    def step(self, now: float) -> list[RunKey]:
        """It is `now`; what has ended goes, and a round is decided. Who has ended?"""
        standing = self.standing
        for one in standing.held.values():
            self.held_s[one.asking.project] += one.workers * one.asking.gpus * (now - standing.now)
        standing.pass_time(now)
        over = [key for key, at in self.ends.items() if at <= now]
        for key in over:
            standing.end(key)
            del self.ends[key]
        outcome = self.parts.schedule.decide(standing)
        for placed in outcome.placements:
            key = placed.key
            self.ends[key] = now + self.takes_s[key]
        for one in outcome.preemptions:
            key = one.key
            self.preempted[key] += 1
            gone = standing.end(key)
            del self.ends[key]
            standing.line.add(gone.asking)
        return over


def test_with_weights_1_2_4_each_project_holds_its_share_of_a_day_to_3_percent() -> None:
    chance, weights = random.Random(5), {"red": 1, "blue": 2, "gold": 4}
    shares = {name: Share(used_cpus=0, most_cpus=None, weight=w) for name, w in weights.items()}
    world, number = World(4, shares), 0
    for minute in range(0, 24 * 60, 5):
        for name in weights:
            waiting = sum(len(lane) for lane in world.standing.line.groups.get(name, {}).values())
            for _ in range(40 - waiting):
                number += 1
                asking = ask(f"r{number}", chance.choice((1, 1, 2, 4)), project=name, since=minute * 60.0)
                world.ask(asking, chance.uniform(0.2, 2) * HOUR_S)
        world.step(minute * 60.0)
    total = sum(world.held_s.values())
    for name, weight in weights.items():
        assert world.held_s[name] / total == pytest.approx(weight / 7, abs=0.03)


@few
@given(
    st.integers(0, 10**6),
    st.sampled_from(["fair", "backfill", "conservative", "first-fit", "fifo", "shortest-first"]),
)
def test_with_finite_work_every_run_comes_to_its_end(seed: int, schedule: str) -> None:
    chance = random.Random(seed)
    shares = {name: own(chance.choice((0, 4, 8))) for name in ("red", "blue")}
    world, left = World(2, shares, schedule=schedule), set()
    for number in range(40):
        asking = ask(
            f"r{number}", chance.choice((0.3, 0.5, 1, 2, 8)), project=chance.choice(("red", "blue")),
            since=float(number), priority=chance.choice((0, 0, 5, 200)), workers=(n := chance.choice((1, 1, 2))),
            fewest_workers=n, spans=n > 1, expected_s=chance.choice((None, 60.0, 5000.0)),
        )  # fmt: skip
        left.add(asking.key)
        world.ask(asking, chance.uniform(10, 4000))
    now = 0.0
    for _ in range(2000):
        left -= set(world.step(now))
        if not left:
            break
        now = min(world.ends.values(), default=now + 1)
    assert not left
    assert max(world.preempted.values(), default=0) <= 40


@pytest.mark.parametrize("seed", range(3))
def test_a_large_run_starts_however_many_small_ones_with_wrong_expectations_arrive(seed: int) -> None:
    chance = random.Random(seed)
    world = World(2, {})
    world.ask(ask("large", 8, workers=2, fewest_workers=2, spans=True, since=0.0), 600.0)
    for minute in range(0, 3 * 24 * 60, 5):
        for n in range(3):
            project = chance.choice(("red", "blue"))
            asking = ask(f"s{minute}-{n}", chance.choice((1, 2)), project=project, since=minute * 60.0,
                         expected_s=chance.choice((None, 300.0, 3600.0)))  # fmt: skip
            world.ask(asking, chance.uniform(60, 7200))
        world.step(minute * 60.0)
        if RunKey("red", "large") in world.ends:
            return
    raise AssertionError("the large run starved")


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_given_twice_and_all_that_was_given_comes_back(seed: int) -> None:
    chance, world = random.Random(seed), World(3, {"red": own(6), "blue": own(6)})
    floor = world.standing.floor
    for number in range(60):
        workers = chance.choice((1, 1, 3))
        asking = ask(f"r{number}", chance.choice((0.2, 0.6, 1, 3)), project=chance.choice(("red", "blue")),
                     since=float(number), workers=workers, fewest_workers=1, spans=chance.random() < 0.3,
                     serves=chance.random() < 0.1)  # fmt: skip
        world.ask(asking, chance.uniform(1, 300))
        world.step(number * 10.0)
        for node in floor.nodes.values():
            assert node.free.cpus_milli >= 0
            assert all(0 <= free <= 1000 for free in node.free.gpus)
    while world.ends:
        world.step(min(world.ends.values()))
    assert all(node.free == node.whole for node in floor.nodes.values())
