"""What whoever does something in the hall can rely on: it is written down first, and what came of it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from modelhall.adapters.trail.folder import FolderTrail
from modelhall.adapters.trail.memory import Memory, MemoryTrail
from modelhall.app.audit.auditing import Auditing, open_auditing
from modelhall.app.audit.reading import PARTS_A_PAGE, Wanted
from modelhall.control.declare import Refusal
from modelhall.core.errors import Conflict, Full, NotNow, Rejected, Unrecorded
from modelhall.core.ports.trail import Tail, Trail
from modelhall.trust.audit.entry import Entry
from modelhall.trust.audit.heads import new_key

KEY = new_key()
WHO = "token default/first"


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class NarrowTrail(MemoryTrail):
    """A trail on a disk that may be full, and that counts how often it was appended to."""

    def __init__(self, memory: Memory | None = None) -> None:
        super().__init__(memory)
        self.is_full = False
        self.appends = 0

    def append(self, make: Callable[[Tail], Sequence[bytes]]) -> None:
        if self.is_full:
            raise Full("the disk is full; free some room", delay_s=5)
        self.appends += 1
        super().append(make)


def auditing_over(trail: Trail) -> Auditing:
    return Auditing(trail, KEY, Clock())


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 30))


async def act(auditing: Auditing, name: str = "a", revision: int = 1) -> None:
    async with auditing.action(
        who=WHO, address="127.0.0.1", verb="apply", targets=[f"run/default/{name}"], request="ab" * 32
    ) as action:
        action.outcome(revisions={f"run/default/{name}": revision}, status=200)


async def act_until_full(auditing: Auditing, trail: NarrowTrail, error: Exception | None = None) -> None:
    """Act while the disk becomes full, and perhaps fail at it."""
    async with auditing.action(who=WHO, address="", verb="apply", targets=["run/default/a"]) as action:
        action.outcome(revisions={"run/default/a": 5}, status=200)
        trail.is_full = True
        if error is not None:
            raise error


async def entries(auditing: Auditing) -> list[Entry]:
    """All but the log's own."""
    page = await auditing.page(Wanted(), limit=1000)
    return [entry for entry in page.entries if entry.who != "hall"]


def test_an_action_is_written_down_before_it_begins_and_its_outcome_afterwards() -> None:
    async def story() -> None:
        auditing = auditing_over(MemoryTrail())
        async with auditing.action(
            who=WHO, address="10.0.0.9", verb="delete", targets=["model/x/m"], request="cd" * 32
        ) as action:
            (intent,) = await entries(auditing)
            action.outcome(revisions={"model/x/m": 9}, status=200)
        assert (intent.sort, intent.who, intent.address, intent.what) == ("intent", WHO, "10.0.0.9", "delete")
        assert (intent.targets, intent.request) == (("model/x/m",), "cd" * 32)
        _, outcome = await entries(auditing)
        assert (outcome.sort, outcome.of, outcome.targets) == ("outcome", intent.number, ("model/x/m",))
        assert outcome.outcome is not None
        assert outcome.outcome.result == "done"
        assert (outcome.outcome.revisions, outcome.outcome.status) == ({"model/x/m": 9}, 200)
        found = await auditing.verify(await auditing.head())
        assert (found.is_well, found.open) == (True, ())
        await auditing.close()

    play(story)


@pytest.mark.parametrize(
    ("error", "result", "status", "name"),
    [
        (Conflict("secret words"), "refused", 409, "Conflict"),
        (Refusal(2, Rejected("secret words", status=422)), "refused", 422, "Rejected"),
        (NotNow("secret words", delay_s=1), "refused", 503, "NotNow"),
        (KeyError("secret words"), "failed", None, "KeyError"),
        (asyncio.CancelledError("secret words"), "failed", None, "CancelledError"),
    ],
)
def test_an_error_is_raised_as_it_is_and_written_down_without_its_words(
    error: BaseException, result: str, status: int | None, name: str
) -> None:
    async def story() -> None:
        memory = Memory()
        auditing = auditing_over(MemoryTrail(memory))
        with pytest.raises(type(error)):
            async with auditing.action(who=WHO, address="", verb="apply"):
                raise error
        outcome = (await entries(auditing))[-1].outcome
        assert outcome is not None
        assert (outcome.result, outcome.status, outcome.error) == (result, status, name)
        assert not any(b"secret" in line for lines in memory.parts.values() for line in lines)
        await auditing.close()

    play(story)


@pytest.mark.parametrize(
    ("status", "result"), [(200, "done"), (204, "done"), (404, "refused"), (503, "refused"), (507, "refused"),
                           (500, "failed"), (None, "done")],
)  # fmt: skip
def test_an_answer_that_is_an_error_says_that_nothing_was_done(status: int | None, result: str) -> None:
    async def story() -> None:
        auditing = auditing_over(MemoryTrail())
        async with auditing.action(who=WHO, address="", verb="apply") as action:
            action.outcome(status=status)
        outcome = (await entries(auditing))[-1].outcome
        assert outcome is not None
        assert (outcome.result, outcome.status) == (result, status)
        await auditing.close()

    play(story)


def test_entries_of_a_project_are_found_by_target_route_and_revision() -> None:
    async def story() -> None:
        auditing = auditing_over(MemoryTrail())
        for target in ("run/x/a", "/api/v1/runs/a?limit=3&project=x", "/api/v1/apply"):
            async with auditing.action(who=WHO, address="", verb="apply", targets=[target]) as action:
                action.outcome(revisions={"run/x/b": 1} if target.endswith("apply") else {})
        found = (await auditing.page(Wanted(project="x"), limit=100)).entries
        assert [entry.sort for entry in found] == ["intent", "outcome", "intent", "outcome", "outcome"]
        assert (await auditing.page(Wanted(project="api"), limit=100)).entries == ()
        await auditing.close()

    play(story)


def test_what_cannot_be_written_down_is_not_done() -> None:
    async def story() -> None:
        trail = NarrowTrail()
        auditing = auditing_over(trail)
        trail.is_full = True
        with pytest.raises(Full):
            await act(auditing)
        with pytest.raises(Full):
            await auditing.note(who="", address="1.2.3.4", event="sign-in.refused")
        trail.is_full = False
        assert await entries(auditing) == []
        await act(auditing)
        assert len(await entries(auditing)) == 2
        await auditing.close()

    play(story)


def test_what_was_done_and_cannot_be_recorded_is_told_and_recorded_as_soon_as_there_is_room() -> None:
    async def story() -> None:
        trail = NarrowTrail()
        auditing = auditing_over(trail)
        with pytest.raises(Unrecorded, match="it was done") as caught:
            await act_until_full(auditing, trail)
        assert caught.value.status == 500
        assert len((await auditing.verify()).open) == 1
        trail.is_full = False
        await act(auditing, "b")
        first, owed, *_ = await entries(auditing)
        assert (owed.sort, owed.of) == ("outcome", first.number)
        assert owed.outcome is not None
        assert owed.outcome.revisions == {"run/default/a": 5}
        assert (await auditing.verify()).open == ()
        await auditing.close()

    play(story)


def test_what_is_owed_is_recorded_by_whoever_opens_the_log_next() -> None:
    async def story() -> None:
        memory = Memory()
        trail = NarrowTrail(memory)
        former = auditing_over(trail)
        with pytest.raises(KeyError):
            await act_until_full(former, trail, KeyError("as well"))
        await former.close()
        auditing = auditing_over(MemoryTrail(memory))
        await auditing.note(who="hall", address="", event="hall.started")
        found = await auditing.verify()
        assert (found.is_well, found.open) == (True, ())
        await auditing.close()

    play(story)


def test_many_who_act_at_once_share_an_append() -> None:
    async def story() -> None:
        trail = NarrowTrail()
        auditing = auditing_over(trail)
        await asyncio.gather(*(act(auditing, f"r{number}") for number in range(200)))
        assert trail.appends < 20
        found = await auditing.verify(await auditing.head())
        assert (found.is_well, found.open) == (True, ())
        assert len(await entries(auditing)) == 400
        await auditing.close()

    play(story)


def test_two_halls_in_one_home_write_one_chain(tmp_path: Path) -> None:
    async def story() -> None:
        halls = [open_auditing(tmp_path, Clock()) for _ in range(2)]
        for number in range(5):
            await asyncio.gather(*(act(hall, f"r{number}") for hall in halls))
        for hall in halls:
            assert (await hall.verify(await hall.head())).is_well
            await hall.look()
            assert hall.broken is None
            assert len(await entries(hall)) == 20
        for hall in halls:
            await hall.close()

    play(story)


def test_what_was_written_is_signed_at_every_look_and_at_the_end() -> None:
    async def story() -> None:
        memory = Memory()
        auditing = auditing_over(MemoryTrail(memory))
        await auditing.look()
        assert memory.parts == {}, "there is nothing to sign"
        await act(auditing)
        assert (await auditing.verify()).signed == 0
        await auditing.look()
        signed = await auditing.verify()
        assert signed.signed == signed.last - 1
        await auditing.look()
        assert (await auditing.verify()).last == signed.last, "it is signed once"
        await act(auditing)
        await auditing.close()
        ended = await auditing_over(MemoryTrail(memory)).verify()
        assert ended.signed == ended.last - 1

    play(story)


def tampered(memory: Memory) -> None:
    lines = memory.parts["00000001"]
    lines[1] = lines[1].replace(b"apply", b"other")


def test_a_log_that_was_changed_is_noticed_at_the_next_look_and_nothing_is_done_any_more() -> None:
    async def story() -> None:
        memory = Memory()
        auditing = auditing_over(MemoryTrail(memory))
        await act(auditing)
        await auditing.look()
        assert auditing.broken is None
        tampered(memory)
        await auditing.look()
        assert auditing.broken is not None
        assert "entry 2 was changed" in auditing.broken
        before = await entries(auditing)
        with pytest.raises(NotNow, match="entry 2 was changed"):
            await act(auditing)
        assert await entries(auditing) == before
        await auditing.close()

    play(story)


def test_a_log_that_was_changed_while_no_hall_was_up_is_noticed_at_the_first_look_or_action() -> None:
    async def story() -> None:
        memory = Memory()
        former = auditing_over(MemoryTrail(memory, lines_a_part=4))
        for _ in range(4):
            await act(former)
        await former.close()
        tampered(memory)
        looking = auditing_over(MemoryTrail(memory, lines_a_part=4))
        await looking.look()
        assert looking.broken is not None
        newest = memory.parts[max(memory.parts)]
        newest[-1] = newest[-1].replace(b"audit", b"other")
        acting = auditing_over(MemoryTrail(memory, lines_a_part=4))
        with pytest.raises(NotNow, match="not what was written"):
            await act(acting)
        assert acting.broken is not None
        for one in (looking, acting):
            await one.close()

    play(story)


@pytest.mark.parametrize("edit", ["cut", "rewrite", "replace"])
def test_even_an_end_that_is_rewritten_with_the_key_is_noticed_by_the_hall_that_wrote_it(
    tmp_path: Path, edit: str
) -> None:
    async def story() -> None:
        auditing = open_auditing(tmp_path, Clock())
        await act(auditing, "a")
        await act(auditing, "b")
        await auditing.look()
        part = tmp_path / "audit" / "00000001.jsonl"
        lines = part.read_bytes().splitlines(keepends=True)
        if edit == "cut":
            part.write_bytes(b"".join(lines[:-1]))
        else:
            part.write_bytes(b"".join(lines[:2]) if edit == "rewrite" else b"")
            thief = open_auditing(tmp_path, Clock())
            for _ in range(5):
                await act(thief, "other")
            await thief.close()
        await auditing.look()
        assert auditing.broken is not None
        await auditing.close()

    play(story)


def test_archiving_old_parts_is_no_tampering_for_a_hall_that_is_up(tmp_path: Path) -> None:
    async def story() -> None:
        auditing = Auditing(FolderTrail(tmp_path, rotate_bytes=2000), KEY, Clock())
        for number in range(20):
            await act(auditing, f"r{number}")
        await auditing.look()
        parts = sorted(tmp_path.glob("*.jsonl"))
        assert len(parts) > 3
        for part in parts[:2]:
            part.unlink()
        await auditing.look()
        assert auditing.broken is None
        assert not (await auditing.verify()).is_well, "unless somebody says that they were archived"
        assert (await auditing.verify(archived=True)).is_well
        parts[3].unlink()
        await auditing.look()
        assert auditing.broken is not None, "a gap is none"
        await auditing.close()

    play(story)


def test_half_a_line_that_a_crash_left_is_cut_off_and_written_down(tmp_path: Path) -> None:
    async def story() -> None:
        former = open_auditing(tmp_path, Clock())
        await act(former)
        await former.close()
        with (tmp_path / "audit" / "00000001.jsonl").open("ab") as file:
            file.write(b'{"address":"127.0')
        auditing = open_auditing(tmp_path, Clock())
        await auditing.look()
        assert auditing.broken is None
        await act(auditing)
        found = await auditing.verify(await auditing.head())
        assert (found.is_well, found.torn_bytes) == (True, 0)
        page = await auditing.page(Wanted(who="hall"), limit=100)
        (torn,) = (entry for entry in page.entries if entry.what == "audit.torn")
        assert torn.detail["bytes"] == "17"
        await auditing.close()

    play(story)


def test_entries_are_found_by_who_project_and_time_a_page_at_a_time() -> None:
    async def story() -> None:
        clock = Clock()
        auditing = Auditing(MemoryTrail(lines_a_part=5), KEY, clock)
        for number in range(30):
            clock.at += 10
            verb = {"who": f"user {'anna' if number % 3 else 'bert'}", "address": "", "verb": "apply"}
            async with auditing.action(**verb, targets=[f"run/{'ab'[number % 2]}/r{number}"]):
                pass

        async def all_of(wanted: Wanted, limit: int) -> list[Entry]:
            found: list[Entry] = []
            before: int | None = None
            for _ in range(100):
                page = await auditing.page(wanted, limit=limit, before=before)
                assert len(page.entries) <= limit
                found = [*page.entries, *found]
                before = page.next
                if before is None:
                    return found
            raise AssertionError("pages without an end")

        for limit in (1, 7, 1000):
            every = await all_of(Wanted(), limit)
            assert [entry.number for entry in every] == list(range(1, len(every) + 1))
            assert len(await all_of(Wanted(who="anna"), limit)) == 40
            assert len(await all_of(Wanted(project="a"), limit)) == 30
            assert len(await all_of(Wanted(who="bert", project="b"), limit)) == 10
            late = await all_of(Wanted(since=clock.at - 25, who="user"), limit)
            assert {entry.targets for entry in late} == {(f"run/{'ab'[n % 2]}/r{n}",) for n in (27, 28, 29)}
        rare = await auditing.page(Wanted(project="none"), limit=10)
        assert (rare.entries, rare.next is not None) == ((), True), f"after {PARTS_A_PAGE} parts"
        await auditing.close()

    play(story)
