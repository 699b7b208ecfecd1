"""Mutating calls: done once, however often they are sent.

A call that comes again under the idempotency key it came with is answered as it was, and not done again; also when
the reply was lost, since the answer is stored in the commit that did what it tells of.
(As in the IETF draft "The Idempotency-Key HTTP Header Field".)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter

from modelhall.core import digest
from modelhall.core.errors import Conflict, Rejected
from modelhall.core.failpoints import reach
from modelhall.core.kinds import AnyResource
from modelhall.core.ports.store import Answer, Store, Write

TRIES = 20

T = TypeVar("T")
Written = Callable[[Sequence[AnyResource]], None]
"""Is told of resources as they were stored."""


def unheard(stored: Sequence[AnyResource]) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, kw_only=True)
class Once:
    """The key a caller gave for one call, and a digest of all that he asked for."""

    key: str
    request: str

    @classmethod
    def of(cls, key: str, *, caller: str, request: Any) -> Once:
        """`request` is what was asked, as JSON. A caller's keys are his own: nobody is given another's answers."""
        return cls(key=digest.of_json([caller, key]), request=digest.of_json(request))


async def commit_once(
    store: Store,
    plan: Callable[[], Awaitable[tuple[Sequence[Write], T]]],
    *,
    once: Once | None,
    answers: TypeAdapter[T],
    now: float,
    written: Written = unheard,
) -> T:
    """Plan and commit, anew when somebody else was quicker; return the plan's answer. `written` is told what was
    stored; nothing, when the call had been answered before.

    Raises Conflict when others are always quicker, and Rejected when the key was used for another request.
    """
    for _ in range(TRIES):
        if once is not None and (found := await store.answer(once.key)) is not None:
            return answers.validate_json(_same_request(found, once).body)
        writes, said = await plan()
        if once is not None:
            body = answers.dump_json(said).decode()
            writes = [*writes, Answer(at=now, once=once.key, request=once.request, body=body)]
        try:
            reach("once.planned")
            stored = await store.commit(writes) if writes else []
            reach("once.committed")
        except Conflict:
            continue
        written(stored)
        return said
    raise Conflict("others keep changing the same resources; try again")


def _same_request(found: Answer, once: Once) -> Answer:
    if found.request != once.request:
        raise Rejected(
            "this idempotency key was used for another request; give every request a key of its own",
            status=422,
        )
    return found
