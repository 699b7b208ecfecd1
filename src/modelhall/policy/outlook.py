"""When a run that waits will start, as far as one can tell, and what would have it start sooner.

The policy itself is asked: what it decides as those who run and those it starts come to their ends. How long those
take who do not say is guessed, so the answer is a range, from half of what is expected to twice as long.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace

from modelhall.policy.deciding import Parts, begin, typical_of
from modelhall.policy.schedule import Asking, Facts, RunKey
from modelhall.policy.standing import Standing
from modelhall.policy.standing.reservation import ends_at

GUESSED_S = 3600.0
"""How long who does not say is thought to run."""
MOST_ROUNDS = 2000
LONGEST_QUEUE = 5000
"""With more that wait, nothing is foretold: it would take too long."""
SHORTER, LONGER = 0.5, 2.0
EXACT = 16


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that would have the run start sooner."""

    words: str
    starts_in_s: float


@dataclass(frozen=True, kw_only=True)
class Outlook:
    place: int | None
    """In the queue, from 1; by the order in which runs will start."""
    ahead: tuple[RunKey, ...]
    """Who starts before it."""
    starts_in_s: float | None
    soonest_s: float | None
    latest_s: float | None
    changes: tuple[Change, ...]


def outlook(facts: Facts, parts: Parts, key: RunKey) -> Outlook:
    """What a run that waits has before it."""
    (asking,) = (one for one in facts.queue if one.key == key)
    if len(facts.queue) > LONGEST_QUEUE:
        return Outlook(place=None, ahead=(), starts_in_s=None, soonest_s=None, latest_s=None, changes=())
    ahead, starts_in_s = _foretold(facts, parts, key, stretch=1.0)
    return Outlook(
        place=len(ahead) + 1 if starts_in_s is not None else None,
        ahead=ahead,
        starts_in_s=starts_in_s,
        soonest_s=_foretold(facts, parts, key, stretch=SHORTER)[1],
        latest_s=_foretold(facts, parts, key, stretch=LONGER)[1],
        changes=tuple(_changes(facts, parts, asking, starts_in_s)),
    )


def _foretold(
    facts: Facts, parts: Parts, key: RunKey, *, stretch: float
) -> tuple[tuple[RunKey, ...], float | None]:
    """Who starts before a run, and how long it takes until it starts itself; None where it is not to be seen."""
    standing = _begun(facts, parts)
    ends = [
        (facts.now + (ends_at(held, facts.now) - facts.now) * stretch, held.asking.key) for held in facts.held
    ]
    heapq.heapify(ends)
    ahead: list[RunKey] = []
    for _ in range(MOST_ROUNDS):
        outcome = parts.schedule.decide(standing)
        for placed in outcome.placements:
            run = placed.key
            if run == key:
                return tuple(ahead), standing.now - facts.now
            ahead.append(run)
            takes_s = standing.held[run].asking.expected_s or GUESSED_S
            heapq.heappush(ends, (standing.now + takes_s * stretch, run))
        for going in outcome.preemptions:
            run = going.key
            standing.replace(replace(standing.held[run], leaving=True))
            heapq.heappush(ends, (standing.now, run))
        if not ends:
            break
        _pass(standing, ends)
    return tuple(ahead), None


def _begun(facts: Facts, parts: Parts) -> Standing:
    asked = [*facts.queue, *(held.asking for held in facts.held)]
    return begin(facts, parts, typical_of(facts.nodes, asked))


def _pass(standing: Standing, ends: list[tuple[float, RunKey]]) -> None:
    """Let time pass to the next end. Who made room, and has ended twice so, is over."""
    at = max(standing.now, ends[0][0])
    standing.pass_time(at)
    while ends and ends[0][0] <= at:
        _, run = heapq.heappop(ends)
        if run in standing.held:
            standing.end(run)


def _changes(facts: Facts, parts: Parts, asking: Asking, starts_in_s: float | None) -> Iterator[Change]:
    """The least change of each sort that has the run start now, and those of where it may be that have it start
    sooner."""
    for variants in (_fewer_gpus(asking), _fewer_workers(asking), _fewer_cpus(asking), _less_memory(asking)):
        for words, other in variants:
            if _starts_now(facts, parts, other):
                yield Change(words=words, starts_in_s=0.0)
                break
    for words, other in _anywhere(asking):
        in_s = _foretold(_with(facts, other), parts, other.key, stretch=1.0)[1]
        if in_s is not None and (starts_in_s is None or in_s < starts_in_s):
            yield Change(words=words, starts_in_s=in_s)


def _starts_now(facts: Facts, parts: Parts, asking: Asking) -> bool:
    outcome = parts.schedule.decide(_begun(_with(facts, asking), parts))
    return any(placed.key == asking.key for placed in outcome.placements)


def _with(facts: Facts, asking: Asking) -> Facts:
    return replace(facts, queue=[asking if one.key == asking.key else one for one in facts.queue])


def _fewer_gpus(asking: Asking) -> Iterator[tuple[str, Asking]]:
    whole = int(asking.gpus)
    for less in _steps(whole - 1) if whole > 1 else ():
        plural = "GPU" if less == 1 else "GPUs"
        yield f"with {less} {plural} less", replace(asking, gpus=asking.gpus - less)


def _fewer_workers(asking: Asking) -> Iterator[tuple[str, Asking]]:
    for less in _steps(asking.fewest_workers - 1):
        count = asking.fewest_workers - less
        yield f"with {count} workers", replace(asking, workers=count, fewest_workers=count)


def _fewer_cpus(asking: Asking) -> Iterator[tuple[str, Asking]]:
    for less in _steps(int(asking.cpus) - 1):
        yield f"with {less} CPUs less", replace(asking, cpus=asking.cpus - less)


def _less_memory(asking: Asking) -> Iterator[tuple[str, Asking]]:
    if asking.memory_bytes:
        for part in (0.75, 0.5, 0.25):
            size = round(asking.memory_bytes * part)
            yield f"with {size / 2**30:.1f} GiB of memory", replace(asking, memory_bytes=size)


def _anywhere(asking: Asking) -> Iterator[tuple[str, Asking]]:
    for name, _ in asking.labels:
        others = tuple(label for label in asking.labels if label[0] != name)
        yield f"with {name}=any", replace(asking, labels=others)
    if asking.gpu_type:
        yield "with any type of GPU", replace(asking, gpu_type="")


def _steps(most: int) -> Iterator[int]:
    """Up to `most`: each of the first, and of the larger ones enough to be near the least."""
    step = 1
    while step < most:
        yield step
        step += max(1, step // EXACT)
    if most > 0:
        yield most
