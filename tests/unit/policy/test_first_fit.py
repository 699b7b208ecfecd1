"""What holds for first-fit whatever is asked for: properties over random queues, nodes and quotas."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from modelhall.policy.deciding import policy
from modelhall.policy.schedule import Asking, Decision, Facts, Hold, Part, Placement, Room, Share

GIB = 2**30
quick = settings(max_examples=50)
CPUS = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 8.0])
MEMORY = st.sampled_from([0, GIB // 2, GIB, 4 * GIB])
PROJECTS = ("default", "red", "blue")

ASKING = st.builds(
    Asking, name=st.just(""), project=st.sampled_from(PROJECTS), cpus=CPUS, memory_bytes=MEMORY,
    serves=st.booleans(), priority=st.integers(-2, 2), since=st.integers(0, 3).map(float),
)  # fmt: skip
WORKERS = st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3)])
QUEUES = st.lists(st.tuples(ASKING, WORKERS), max_size=12).map(
    lambda queue: [
        replace(asking, name=f"r{number}", fewest_workers=fewest, workers=most)
        for number, (asking, (fewest, most)) in enumerate(queue)
    ]
)
SHARES = st.dictionaries(
    st.sampled_from(PROJECTS),
    st.builds(Share, used_cpus=st.sampled_from([0.0, 1.0, 3.0]), most_cpus=st.none() | CPUS),
)


@st.composite
def nodes(draw: st.DrawFn, *, empty: bool = False) -> list[Room]:
    rooms = []
    for number in range(draw(st.integers(0, 4))):
        cpus, memory = draw(st.sampled_from([1.0, 2.0, 4.0])), draw(st.sampled_from([GIB, 4 * GIB]))
        share = 1.0 if empty else draw(st.sampled_from([0.0, 0.5, 1.0]))
        rooms.append(
            Room(
                name=f"n{number}",
                cpus=cpus,
                memory_bytes=memory,
                free_cpus=cpus * share,
                free_memory_bytes=memory,
            )
        )
    return rooms


def place(queue: Sequence[Asking], rooms: Sequence[Room], shares: Mapping[str, Share]) -> list[Decision]:
    return policy("first-fit", "first-fit")(Facts(now=100.0, queue=queue, nodes=rooms, projects=shares))


def order(asking: Asking) -> tuple[object, ...]:
    return (not asking.serves, -asking.priority, asking.since, asking.project, asking.name)


def ask(name: str, cpus: float, **fields: object) -> Asking:
    some = {"project": "default", "memory_bytes": 0, "serves": False, "priority": 0, "since": 0.0}
    return Asking(name=name, cpus=cpus, **{**some, **fields})  # type: ignore[arg-type]


def room(name: str, cpus: float, memory_bytes: int = 8 * GIB) -> Room:
    return Room(
        name=name, cpus=cpus, memory_bytes=memory_bytes, free_cpus=cpus, free_memory_bytes=memory_bytes
    )


def started(decisions: list[Decision]) -> dict[str, str]:
    return {d.run: d.node for d in decisions if isinstance(d, Placement)}


@quick
@given(QUEUES, nodes(), SHARES)
def test_no_node_and_no_quota_is_ever_overcommitted(
    queue: list[Asking], rooms: list[Room], shares: dict[str, Share]
) -> None:
    asked = {asking.name: asking for asking in queue}
    cpus: dict[str, float] = defaultdict(float)
    memory: dict[str, int] = defaultdict(int)
    held: dict[str, float] = defaultdict(float)
    for decision in place(queue, rooms, shares):
        if isinstance(decision, Placement):
            run = asked[decision.run]
            assert run.fewest_workers <= decision.workers <= run.workers
            cpus[decision.node] += run.cpus * decision.workers
            memory[decision.node] += run.memory_bytes * decision.workers
            held[run.project] += run.cpus * decision.workers
    for node in rooms:
        assert cpus[node.name] <= node.free_cpus + 1e-6
        assert memory[node.name] <= node.free_memory_bytes
    for name, share in shares.items():
        if share.most_cpus is not None and held[name]:
            assert share.used_cpus + held[name] <= share.most_cpus + 1e-6


@quick
@given(QUEUES, nodes(), SHARES)
def test_every_run_gets_exactly_one_decision_and_every_hold_a_reason(
    queue: list[Asking], rooms: list[Room], shares: dict[str, Share]
) -> None:
    decisions = place(queue, rooms, shares)
    assert sorted((d.project, d.run) for d in decisions) == sorted((a.project, a.name) for a in queue)
    assert all(d.reason for d in decisions if isinstance(d, Hold))


@quick
@given(QUEUES, nodes(), SHARES, st.randoms(use_true_random=False))
def test_the_order_in_which_facts_arrive_changes_nothing(
    queue: list[Asking], rooms: list[Room], shares: dict[str, Share], chance: random.Random
) -> None:
    decisions = place(queue, rooms, shares)
    chance.shuffle(queue)
    chance.shuffle(rooms)
    assert place(queue, rooms, dict(reversed(shares.items()))) == decisions


@quick
@given(QUEUES, nodes(), SHARES)
def test_a_run_that_could_start_does_when_nothing_ahead_of_it_waits(
    queue: list[Asking], rooms: list[Room], shares: dict[str, Share]
) -> None:
    decisions = place(queue, rooms, shares)
    where = started(decisions)
    workers = {d.run: d.workers for d in decisions if isinstance(d, Placement)}
    never = {d.run for d in decisions if isinstance(d, Hold) and d.never}
    for asking in queue:
        least_cpus = asking.cpus * asking.fewest_workers
        least_bytes = asking.memory_bytes * asking.fewest_workers
        ahead = [other for other in queue if order(other) < order(asking)]
        if asking.name in where or any(a.name not in where and a.name not in never for a in ahead):
            continue
        share = shares.get(asking.project, Share(used_cpus=0, most_cpus=None))
        here = [a for a in ahead if a.project == asking.project and a.name in where]
        used = share.used_cpus + sum(a.cpus * workers[a.name] for a in here)
        on = {node.name: [a for a in ahead if where.get(a.name) == node.name] for node in rooms}
        assert not any(
            least_cpus <= node.free_cpus - sum(a.cpus * workers[a.name] for a in on[node.name])
            and least_bytes
            <= node.free_memory_bytes - sum(a.memory_bytes * workers[a.name] for a in on[node.name])
            for node in rooms
        ) or (share.most_cpus is not None and used + least_cpus > share.most_cpus)


@quick
@given(QUEUES, nodes(), SHARES)
def test_never_means_that_even_an_idle_hall_would_not_start_it(
    queue: list[Asking], rooms: list[Room], shares: dict[str, Share]
) -> None:
    idle = [replace(node, free_cpus=node.cpus, free_memory_bytes=node.memory_bytes) for node in rooms]
    unused = {name: replace(share, used_cpus=0.0) for name, share in shares.items()}
    for decision in place(queue, rooms, shares):
        if isinstance(decision, Hold):
            alone = [asking for asking in queue if asking.name == decision.run]
            assert decision.never == (started(place(alone, idle, unused)) == {})


@quick
@given(QUEUES, nodes(empty=True), SHARES)
def test_with_finite_work_all_that_can_ever_run_runs(
    queue: list[Asking], rooms: list[Room], shares: dict[str, Share]
) -> None:
    shares = {name: replace(share, used_cpus=0.0) for name, share in shares.items()}
    for _ in range(len(queue) + 1):
        decisions = place(queue, rooms, shares)
        where = started(decisions)
        queue = [asking for asking in queue if asking.name not in where]
        # All that started ends before the next look, so the hall is idle again.
        if not where:
            break
    assert all(isinstance(d, Hold) and d.never for d in decisions)


@quick
@given(st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([1, 4]), st.randoms(use_true_random=False))
def test_a_large_run_starts_however_many_small_ones_keep_arriving(
    cpus: float, gib: int, chance: random.Random
) -> None:
    node = room("n", 3.0, 4 * GIB)
    running = [(chance.randint(1, 9), ask(f"s-{i}", 0.5, memory_bytes=GIB // 2)) for i in range(6)]
    queue = [ask("large", cpus, memory_bytes=gib * GIB, since=0.0)]
    for now in range(1, 20):
        running = [(end, asking) for end, asking in running if end > now]
        queue += [ask(f"s{now}-{i}", 0.5, memory_bytes=GIB // 2, since=float(now)) for i in range(4)]
        free = replace(
            node,
            free_cpus=node.cpus - sum(asking.cpus for _, asking in running),
            free_memory_bytes=node.memory_bytes - sum(asking.memory_bytes for _, asking in running),
        )
        where = started(place(queue, [free], {}))
        if "large" in where:
            return
        running += [(now + chance.randint(1, 9), asking) for asking in queue if asking.name in where]
        queue = [asking for asking in queue if asking.name not in where]
    raise AssertionError("the large run starved")


def test_a_run_that_waits_for_memory_is_not_overtaken_by_smaller_ones() -> None:
    half_taken = replace(room("n", 8), free_memory_bytes=4 * GIB)
    queue = [ask("large", 1, memory_bytes=6 * GIB, since=1), ask("small", 1, memory_bytes=GIB, since=2)]
    assert started(place(queue, [half_taken], {})) == {}


def test_a_project_over_its_quota_holds_up_nobody_else() -> None:
    queue = [ask(f"red-{n}", 1, project="red", since=float(n)) for n in range(9)] + [
        ask("other", 1, since=99.0)
    ]
    where = started(place(queue, [room("n", 2)], {"red": Share(used_cpus=0, most_cpus=1)}))
    assert where == {"red-0": "n", "other": "n"}


def test_a_run_over_its_quota_is_not_overtaken_within_its_project() -> None:
    queue = [ask("large", 2, project="red", since=1), ask("small", 1, project="red", since=2)]
    assert started(place(queue, [room("n", 8)], {"red": Share(used_cpus=1, most_cpus=2)})) == {}


def test_a_run_that_asks_for_more_than_its_quota_never_starts_and_holds_up_nobody() -> None:
    queue = [
        ask("giant", 2, project="red", since=1),
        ask("small", 1, project="red", since=2),
        ask("other", 1, since=3),
    ]
    decisions = place(queue, [room("n", 2)], {"red": Share(used_cpus=0, most_cpus=1)})
    assert started(decisions) == {"small": "n", "other": "n"}
    (hold,) = (d for d in decisions if isinstance(d, Hold))
    assert hold.never
    assert hold.reason == "asks for 2 CPUs; project red may hold 1"


def test_replicas_go_before_batch_work_and_then_priority_and_age_decide() -> None:
    queue = [
        ask("old", 1, since=1), ask("young", 1, since=2), ask("high", 1, since=3, priority=1),
        ask("replica", 1, since=4, priority=-5, serves=True),
    ]  # fmt: skip
    decisions = place(queue, [room("n", 2)], {})
    assert [d.run for d in decisions] == ["replica", "high", "old", "young"]
    assert set(started(decisions)) == {"replica", "high"}


def test_what_asks_for_no_processors_starts_on_a_full_node() -> None:
    full = replace(room("n", 1), free_cpus=0.0)
    assert started(place([ask("waits", 1, since=1), ask("light", 0, since=2)], [full], {})) == {"light": "n"}


def test_without_a_node_the_reason_is_that_none_is_ready() -> None:
    (hold,) = place([ask("a", 1)], [], {})
    assert isinstance(hold, Hold)
    assert hold.reason == "no node is ready"


def test_a_reason_names_the_freest_node_and_what_uses_it() -> None:
    busy = replace(room("n", 4), free_cpus=1.0, holders=tuple(f"r{n}" for n in range(6)))
    (hold,) = place([ask("a", 2)], [busy, replace(room("m", 2), free_cpus=0.0)], {})
    assert isinstance(hold, Hold)
    assert "node n has 1 of 4 CPUs free, used by r0, r1, r2, r3 and others" in hold.reason


def test_workers_are_placed_all_or_none() -> None:
    rooms = [room("n1", 2.0), room("n2", 3.0)]
    three, four = (ask(f"of-{n}", 1.0, workers=n, fewest_workers=n) for n in (3, 4))
    assert place([three], rooms, {}) == [Placement("default", "of-3", (Part("n2", 3),))]
    (hold,) = place([four], rooms, {})
    assert isinstance(hold, Hold)
    assert hold.reason.startswith("asks for 4 CPUs for 4 workers")


def test_who_makes_do_with_fewer_workers_gets_as_many_as_there_is_room_for() -> None:
    elastic = ask("elastic", 1.0, workers=4, fewest_workers=2)
    assert place([elastic], [room("n1", 3.0)], {}) == [Placement("default", "elastic", (Part("n1", 3),))]
    share = {"default": Share(used_cpus=0.0, most_cpus=2.0)}
    assert place([elastic], [room("n1", 3.0)], share) == [Placement("default", "elastic", (Part("n1", 2),))]
    (hold,) = place([elastic], [room("n1", 1.0)], {})
    assert isinstance(hold, Hold)
    assert hold.never
