"""Which runs the ledger looks at: none is let go before it is paid for, and none is gone through for ever."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import pytest

from modelhall.adapters.book.memory import MemoryBook
from modelhall.adapters.store.memory import MemoryStore
from modelhall.core.errors import NotNow
from modelhall.core.kinds import KINDS, AnyResource, Key, Run
from modelhall.core.kinds.run import Attempt, RunResource
from modelhall.core.ports.launcher import AttemptId
from modelhall.core.ports.store import Delete, Put
from modelhall.ledger.following import MARK, Following


class FaultyStore(MemoryStore):
    """Counts the runs that are read by looking through all of them, and fails when told to."""

    def __init__(self, *, removals_kept: int = 100) -> None:
        super().__init__(removals_kept=removals_kept)
        self.finds_to_fail = 0
        self.looked_through: list[bool | None] = []

    async def find(
        self,
        kind: str,
        project: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        owner: str | None = None,
        resting: bool | None = None,
        after: Key | None = None,
        limit: int | None = None,
    ) -> list[AnyResource]:
        if self.finds_to_fail:
            self.finds_to_fail -= 1
            raise NotNow("the store cannot be reached", delay_s=1)
        self.looked_through.append(resting)
        return await super().find(
            kind, project, labels=labels, owner=owner, resting=resting, after=after, limit=limit
        )


class Ledger:
    """A store, a book, and who follows the one for the other."""

    def __init__(self, store: FaultyStore | None = None) -> None:
        self.store = store or FaultyStore()
        self.book = MemoryBook()
        self.paid: set[str] = set()
        """The names of the runs that are paid for."""
        self.restart()

    def restart(self) -> None:
        self.store.looked_through.clear()
        self.following = Following(self.store, self.book)

    def begin(self, *names: str) -> None:
        for name in names:
            document = Run(name=name, command=("work",))
            attempts = (Attempt(number=1, node="n1", started_at=1.0),)
            status = KINDS["run"].status(state="running", attempt=1, attempts=attempts)
            self._put(RunResource(document=document, status=status, uid=name, created_at=1.0, updated_at=1.0))

    def end(self, *names: str) -> None:
        for name in names:
            self._put(self._get(name).with_status(state="succeeded"))

    def remove(self, name: str) -> None:
        asyncio.run(self.store.commit([Delete(key=self._get(name).key, revision=self._get(name).revision)]))

    def look(self) -> list[str]:
        return sorted(run.key.name for run in asyncio.run(self.following.runs()))

    def settle(self, *names: str) -> list[str]:
        """Look, pay for these, and look again."""
        self.look()
        self.paid |= set(names)
        asyncio.run(self.following.paid(self._is_paid))
        return self.look()

    def mark(self) -> float | None:
        return asyncio.run(self.book.marks([MARK])).get(MARK)

    def _is_paid(self, id: AttemptId) -> bool:
        return id.run_uid in self.paid

    def _get(self, name: str) -> RunResource:
        found = asyncio.run(self.store.get(Key("run", "default", name)))
        assert found is not None
        return found

    def _put(self, run: RunResource) -> None:
        asyncio.run(self.store.commit([Put(resource=run)]))


def test_a_run_is_looked_at_from_its_beginning_until_it_is_over_and_paid_for() -> None:
    ledger = Ledger()
    ledger.begin("a", "b")
    assert ledger.settle("a") == ["a", "b"], "one that goes on is not done with, whatever was paid so far"
    ledger.end("a", "b")
    assert ledger.look() == ["a", "b"]
    assert ledger.settle() == ["b"]
    assert ledger.settle("b") == []


def test_what_was_paid_is_not_looked_at_again_after_a_restart() -> None:
    ledger = Ledger()
    ledger.begin("a", "b", "c")
    ledger.end("a", "b")
    assert ledger.settle("a", "b") == ["c"]
    ledger.restart()
    assert ledger.look() == ["c"]
    assert ledger.store.looked_through == [False], "finished runs are not gone through"


def test_what_ended_and_was_not_paid_is_found_again_after_a_restart_also_behind_what_was() -> None:
    ledger = Ledger()
    ledger.begin("a", "b", "c")
    ledger.end("a", "b", "c")
    assert ledger.settle("b", "c") == ["a"]
    ledger.restart()
    assert "a" in ledger.look()
    assert ledger.settle() == ["a"]
    assert ledger.settle("a") == []


def test_what_ended_while_nobody_followed_is_found() -> None:
    ledger = Ledger()
    ledger.begin("a", "b")
    ledger.end("a")
    ledger.settle("a")
    ledger.end("b")
    ledger.begin("c")
    ledger.end("c")
    ledger.restart()
    assert set(ledger.look()) >= {"b", "c"}


def test_without_a_mark_every_run_there_is_is_looked_at() -> None:
    ledger = Ledger()
    ledger.begin("a", "b")
    ledger.end("a")
    ledger.restart()
    assert (ledger.look(), ledger.mark()) == (["a", "b"], None)


def test_a_run_that_never_had_an_attempt_is_let_go() -> None:
    ledger = Ledger()
    document = Run(name="a", command=("work",))
    status = KINDS["run"].status(state="cancelled")
    run = RunResource(document=document, status=status, uid="a", created_at=1.0, updated_at=1.0)
    asyncio.run(ledger.store.commit([Put(resource=run)]))
    assert ledger.settle() == []


def test_a_run_that_was_removed_is_not_looked_at_any_more() -> None:
    ledger = Ledger()
    ledger.begin("a", "b")
    assert ledger.look() == ["a", "b"]
    ledger.remove("a")
    assert ledger.look() == ["b"]


def test_when_the_history_was_cut_short_all_is_read_anew() -> None:
    ledger = Ledger(FaultyStore(removals_kept=1))
    ledger.begin("a", "b", "c", "d")
    assert ledger.look() == ["a", "b", "c", "d"]
    for name in ("a", "b", "c"):
        ledger.remove(name)
    ledger.begin("e")
    assert ledger.look() == ["d", "e"]


def test_a_mark_that_is_of_another_history_leads_to_reading_anew() -> None:
    ledger = Ledger()
    ledger.begin("a", "b")
    ledger.end("a")
    asyncio.run(ledger.book.append(marks={MARK: 1e6}))
    ledger.restart()
    assert ledger.look() == ["a", "b"]


@pytest.mark.parametrize("failures", [1, 2])
@pytest.mark.parametrize("has_mark", [True, False])
def test_a_store_that_is_away_at_the_first_look_hides_no_run_from_the_next(
    failures: int, has_mark: bool
) -> None:
    ledger = Ledger()
    ledger.begin("a", "b")
    if has_mark:
        ledger.end("a")
        ledger.settle("a")
    ledger.restart()
    ledger.store.finds_to_fail = failures
    for _ in range(failures):
        with pytest.raises(NotNow):
            ledger.look()
    assert ledger.look() == (["b"] if has_mark else ["a", "b"])


def test_a_store_that_is_away_when_all_is_to_be_read_anew_hides_no_run_either() -> None:
    ledger = Ledger(FaultyStore(removals_kept=1))
    ledger.begin("a", "b", "c", "d")
    ledger.look()
    for name in ("a", "b"):
        ledger.remove(name)
    ledger.begin("e")
    ledger.store.finds_to_fail = 1
    with pytest.raises(NotNow):
        ledger.look()
    assert ledger.look() == ["c", "d", "e"]


@pytest.mark.parametrize("seed", range(20))
def test_no_run_is_let_go_unpaid_whatever_happens_in_between(seed: int) -> None:
    chance = random.Random(seed)
    ledger = Ledger(FaultyStore(removals_kept=2))
    alive: set[str] = set()
    ended: set[str] = set()
    for number in range(150):
        match chance.choice(["begin", "end", "settle", "restart", "remove", "look"]):
            case "begin":
                ledger.begin(f"r{number}")
                alive.add(f"r{number}")
            case "end" if alive:
                name = chance.choice(sorted(alive))
                ledger.end(name)
                alive.remove(name)
                ended.add(name)
            case "settle":
                some = chance.sample(sorted(ended), k=len(ended) // 2)
                ledger.settle(*some)
                assert not ledger.paid & set(ledger.look())
            case "remove" if paid := sorted(ended & ledger.paid):
                ledger.remove(paid[0])
                ended.remove(paid[0])
            case "restart":
                ledger.restart()
            case "look":
                assert set(ledger.look()) >= alive | (ended - ledger.paid)
