"""What the scheduler decided, and on which facts: written down as it decides, and decided again when somebody asks.

One file a day, each line a round in which something started or was to make room. It is a record to learn from, and
nothing rests on it: a disk that is full costs the record and not the decision, and the oldest days go when there is
too much of it.
"""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from modelhall.core.errors import Rejected
from modelhall.policy.deciding import Policy
from modelhall.policy.schedule import Decision, Facts, Hold, Placement, Preemption

log = logging.getLogger(__name__)

FOLDER = "decisions"
MOST_BYTES = 64 * 2**20
MOST_RUNS = 5000
"""Of larger rounds the facts are left out: to write them down would take longer than to decide."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One round."""

    at: float
    policy: str
    facts: Facts | None
    started: tuple[Placement, ...]
    made_room: tuple[Preemption, ...]


_RECORDED = TypeAdapter(Recorded)


def recorded(policy: Policy, name: str, folder: Path) -> Policy:
    """The same policy, which leaves a record of what it decides in `folder`."""

    def decide(facts: Facts) -> list[Decision]:
        decisions = policy(facts)
        if not all(isinstance(decision, Hold) for decision in decisions):
            _write(_round(name, facts, decisions), folder)
        return decisions

    return decide


def read(path: Path) -> Iterator[Recorded]:
    """The rounds of one file, up to where it breaks off. Raises Rejected for what is none."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield _RECORDED.validate_json(line)
                except ValidationError as error:
                    what = f"is no record of a decision: {error.errors()[0]['msg']}"
                    raise Rejected(what, file=str(path), line=number) from None
    except EOFError:
        # The machine went off while the last one was written.
        return
    except OSError as error:
        raise Rejected(f"cannot be read: {error}", file=str(path)) from None


def again(one: Recorded, policy: Policy) -> Recorded | None:
    """What a policy decides on recorded facts; None where they were left out."""
    if one.facts is None:
        return None
    return replace(_round(one.policy, one.facts, policy(one.facts)), policy=one.policy)


def _round(name: str, facts: Facts, decisions: Sequence[Decision]) -> Recorded:
    is_small = len(facts.queue) + len(facts.held) <= MOST_RUNS
    return Recorded(
        at=facts.now,
        policy=name,
        facts=facts if is_small else None,
        started=tuple(one for one in decisions if isinstance(one, Placement)),
        made_room=tuple(one for one in decisions if isinstance(one, Preemption)),
    )


def _write(one: Recorded, folder: Path) -> None:
    day = datetime.fromtimestamp(one.at, UTC).date().isoformat()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{day}.jsonl.gz"
        if not path.exists():
            _drop_oldest(folder)
        with gzip.open(path, "ab", compresslevel=1) as file:
            file.write(_RECORDED.dump_json(one) + b"\n")
    except OSError as error:
        log.warning("decisions.unrecorded error=%s", error)


def _drop_oldest(folder: Path) -> None:
    days = sorted(folder.glob("*.jsonl.gz"))
    total = sum(path.stat().st_size for path in days)
    for path in days:
        if total <= MOST_BYTES:
            return
        total -= path.stat().st_size
        path.unlink()
