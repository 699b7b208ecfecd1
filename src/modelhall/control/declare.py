"""From documents to the store: all of them or none, and nothing for those that say what is already so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pydantic import TypeAdapter

from modelhall.control import admission, fitting
from modelhall.control.datasets import Fingerprint
from modelhall.control.idempotency import Once, Written, commit_once, unheard
from modelhall.control.leaving import leave
from modelhall.control.loop import new_resource
from modelhall.core.errors import Conflict, NotFound, Rejected
from modelhall.core.kinds import KINDS, AnyResource, Document, Key
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen
from modelhall.core.ports.store import Event, Need, Put, Store, Write
from modelhall.core.references import references

NAMES_SHOWN = 1000
"""Among how many names one is looked for that may have been meant."""


class Outcome(Frozen):
    """What a call did to one resource, or would do."""

    kind: str
    project: str
    name: str
    change: Literal[
        "created",
        "changed",
        "unchanged",
        "removing",
        "cancelling",
        "resuming",
        "promoting",
        "aborting",
        "pausing",
    ]


OUTCOMES = TypeAdapter(list[Outcome])


class Refusal(Exception):
    """`documents[place]` was refused for `reason`."""

    def __init__(self, place: int, reason: Rejected) -> None:
        super().__init__(str(reason))
        self.place = place
        self.reason = reason


async def apply(
    store: Store,
    documents: Sequence[Document],
    *,
    fingerprint: Fingerprint,
    new_uid: Callable[[], str],
    now: float,
    dry_run: bool = False,
    once: Once | None = None,
    written: Written = unheard,
) -> list[Outcome]:
    """Store `documents`, atomically. Raises Refusal for the first that cannot be; then nothing has changed."""

    async def plan() -> tuple[list[Write], list[Outcome]]:
        stored = await _surroundings(store, documents)
        is_large = any(map(fitting.may_be_large, documents))
        nodes = await store.find("node", DEFAULT_PROJECT) if is_large else []
        await _check_all(documents, stored, nodes, fingerprint)
        writes, outcomes = _plan(documents, stored, new_uid, now)
        # What is written rests on these, so they must not be on their way out by then.
        unchanged = [document.key for document in documents if _is_so(document, stored)]
        needs = [Need(key=key) for key in (*_named(documents), *unchanged) if key in stored]
        return ([] if dry_run or not writes else [*needs, *writes]), outcomes

    once = None if dry_run else once
    return await commit_once(store, plan, once=once, answers=OUTCOMES, now=now, written=written)


async def delete(
    store: Store,
    key: Key,
    *,
    users: Iterable[Key] = (),
    now: float,
    once: Once | None = None,
    written: Written = unheard,
) -> list[Outcome]:
    """Mark a resource for removal. `users` are those that may name it: what goes is held back by the loop while
    somebody does, but it is kinder to say so at once.

    Raises NotFound, Conflict while another one names it, and Rejected for a kind that the hall keeps by itself.
    """
    if not KINDS[key.kind].declared:
        raise Rejected(
            f"a {key.kind} is not declared by anybody, so it cannot be removed either", field="kind"
        )

    async def plan() -> tuple[list[Write], list[Outcome]]:
        found = await _there(store, key)
        if using := [user for user in users if await _uses(store, user, key)]:
            raise Conflict(f"{key} is used by {', '.join(map(str, using))}; delete that first")
        if key.kind == "project" and await _is_inhabited(store, key.name):
            raise Conflict(f"{key} is not empty; delete what is in it first")
        event = Event(at=now, key=key, name=f"{key.kind}.deleting", message="asked to be removed")
        writes: list[Write] = [Put(resource=found.model_copy(update={"deleting": True})), event]
        if key.kind == "user":
            writes += await leave(store, key.name, now)
        return writes, [_outcome(key, "removing")]

    return await commit_once(store, plan, once=once, answers=OUTCOMES, now=now, written=written)


async def cancel(
    store: Store,
    key: Key,
    *,
    now: float,
    once: Once | None = None,
    written: Written = unheard,
) -> list[Outcome]:
    """Have a run stop and not be started again. Raises NotFound."""

    async def plan() -> tuple[list[Write], list[Outcome]]:
        found = await _there(store, key)
        document = found.document.model_copy(update={"cancelled": True})
        cancelled = found.model_copy(update={"document": document, "generation": found.generation + 1})
        event = Event(at=now, key=key, name="run.cancelling", message="asked to stop")
        return [Put(resource=cancelled), event], [_outcome(key, "cancelling")]

    return await commit_once(store, plan, once=once, answers=OUTCOMES, now=now, written=written)


async def resume(
    store: Store,
    key: Key,
    *,
    now: float,
    once: Once | None = None,
    written: Written = unheard,
) -> list[Outcome]:
    """Have a run that was cancelled go on: it is started again, and finds what its attempts had kept.

    Raises NotFound, and Conflict unless it is cancelled and over.
    """

    async def plan() -> tuple[list[Write], list[Outcome]]:
        found = await _there(store, key)
        if found.status.state != "cancelled" or found.deleting:
            raise Conflict(f"{key} is {found.status.state}; only what is cancelled and over can be resumed")
        again = found.with_status(
            state="waiting", reason="resumed", problem=None, not_before=0.0, failures=0, node=None
        )
        document = found.document.model_copy(update={"cancelled": False})
        resumed = again.model_copy(update={"document": document, "generation": found.generation + 1})
        event = Event(at=now, key=key, name="run.resumed", message="asked to go on")
        return [Put(resource=resumed), event], [_outcome(key, "resuming")]

    return await commit_once(store, plan, once=once, answers=OUTCOMES, now=now, written=written)


async def _there(store: Store, key: Key) -> AnyResource:
    found = await store.get(key)
    if found is None:
        raise NotFound(f"no {key}")
    return found


async def _uses(store: Store, user: Key, key: Key) -> bool:
    found = await store.get(user)
    return found is not None and not found.deleting and key in references(found.document).values()


async def _is_inhabited(store: Store, project: str) -> bool:
    declared = [kind for kind in KINDS if KINDS[kind].declared]
    return any([await store.find(kind, project, limit=1) for kind in declared])


async def _surroundings(store: Store, documents: Sequence[Document]) -> dict[Key, AnyResource]:
    """What is stored of `documents` and of all they name, directly or not; for a name that is not there, those
    that are, so that one of them can be suggested."""
    stored: dict[Key, AnyResource] = {}
    declared = {document.key for document in documents}
    looked: set[Key] = set()
    to_look = [*declared, *_named(documents)]
    while to_look:
        key = to_look.pop()
        if key in looked:
            continue
        looked.add(key)
        found = await store.get(key)
        if found is not None:
            stored[key] = found
            to_look += references(found.document).values()
        elif key not in declared:
            near = await store.find(key.kind, key.project, limit=NAMES_SHOWN)
            stored |= {resource.key: resource for resource in near}
    return stored


def _named(documents: Iterable[Document]) -> list[Key]:
    """What `documents` name, their projects included, and do not declare themselves."""
    found = {key for document in documents for key in references(document).values()}
    found |= {Key("project", DEFAULT_PROJECT, document.project) for document in documents}
    found -= {Key("project", DEFAULT_PROJECT, DEFAULT_PROJECT), *(document.key for document in documents)}
    return sorted(found)


async def _check_all(
    documents: Sequence[Document],
    stored: dict[Key, AnyResource],
    nodes: Sequence[AnyResource],
    fingerprint: Fingerprint,
) -> None:
    declared: dict[Key, Document] = {}
    for place, document in enumerate(documents):
        if document.key in declared:
            raise Refusal(place, Rejected(f"{document.key} is declared twice", field="name"))
        declared[document.key] = document
    for place, document in enumerate(documents):
        there = stored.get(document.key)
        try:
            if there is not None and there.deleting:
                raise Rejected(f"{document.key} is being removed; apply again when it is gone", field="name")
            await admission.check(document, declared, stored, fingerprint)
            if not _is_so(document, stored):
                fitting.check(document, nodes)
        except Rejected as error:
            raise Refusal(place, error) from None


def _plan(
    documents: Sequence[Document], stored: dict[Key, AnyResource], new_uid: Callable[[], str], now: float
) -> tuple[list[Write], list[Outcome]]:
    writes: list[Write] = []
    outcomes = []
    for document in documents:
        there = stored.get(document.key)
        change: Literal["created", "changed", "unchanged"] = "created"
        if there is None:
            writes.append(Put(resource=new_resource(document, new_uid(), now)))
        elif _is_so(document, stored):
            change = "unchanged"
        else:
            change = "changed"
            update = {"document": document, "generation": there.generation + 1, "updated_at": now}
            writes.append(Put(resource=there.model_copy(update=update)))
        outcomes.append(_outcome(document.key, change))
        if change != "unchanged":
            event = Event(at=now, key=document.key, name=f"{document.kind}.{change}", message="applied")
            writes.append(event)
    return writes, outcomes


def _is_so(document: Document, stored: dict[Key, AnyResource]) -> bool:
    there = stored.get(document.key)
    return there is not None and there.document == document


def _outcome(key: Key, change: str) -> Outcome:
    return Outcome.model_validate({**key._asdict(), "change": change})
