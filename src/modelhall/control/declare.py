"""From documents to the store: all of them or none, and nothing for those that say what is already so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from modelhall.control import admission
from modelhall.control.datasets import Fingerprint
from modelhall.control.loop import new_resource
from modelhall.core.errors import Conflict, NotFound, Rejected
from modelhall.core.kinds import KINDS, AnyResource, Document, Key
from modelhall.core.kinds.base import Frozen
from modelhall.core.ports.store import Event, Put, Store, Write
from modelhall.core.references import references

TRIES = 5


class Outcome(Frozen):
    """What applying one document did, or would do."""

    kind: str
    project: str
    name: str
    change: Literal["created", "changed", "unchanged"]


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
) -> list[Outcome]:
    """Store `documents`, atomically. Raises Refusal for the first that cannot be; then nothing has changed."""
    for _ in range(TRIES):
        stored = {r.key: r for kind in KINDS if kind != "result" for r in await store.all(kind)}
        await _check_all(documents, stored, fingerprint)
        writes, outcomes = _plan(documents, stored, new_uid, now)
        if dry_run or not writes:
            return outcomes
        try:
            await store.commit(writes)
        except Conflict:
            continue
        return outcomes
    raise Conflict("others keep changing the same resources; try again")


async def delete(store: Store, key: Key, now: float) -> None:
    """Mark a resource for removal. Raises NotFound, Conflict while another one names it, and
    Rejected for a kind that the hall keeps by itself."""
    if not KINDS[key.kind].declared:
        raise Rejected(
            f"a {key.kind} is not declared by anybody, so it cannot be removed either", field="kind"
        )
    users = [r.key for kind in KINDS for r in await store.all(kind) if _names(r, key) and not r.deleting]
    if users:
        raise Conflict(f"{key} is used by {', '.join(map(str, users))}; delete that first")
    if key.kind == "project" and await _is_inhabited(store, key.name):
        raise Conflict(f"{key} is not empty; delete what is in it first")
    event = Event(at=now, key=key, name=f"{key.kind}.deleting", message="asked to be removed")
    await _change(store, key, lambda found: found.model_copy(update={"deleting": True}), event)


async def cancel(store: Store, key: Key, now: float) -> None:
    """Have a run stop and not be started again. Raises NotFound."""

    def cancelled(found: AnyResource) -> AnyResource:
        document = found.document.model_copy(update={"cancelled": True})
        return found.model_copy(update={"document": document, "generation": found.generation + 1})

    event = Event(at=now, key=key, name="run.cancelling", message="asked to stop")
    await _change(store, key, cancelled, event)


async def _change(store: Store, key: Key, change: Callable[[AnyResource], AnyResource], event: Event) -> None:
    """Replace the resource at `key` by `change` of it, again when somebody else was quicker."""
    for _ in range(TRIES):
        found = await store.get(key)
        if found is None:
            raise NotFound(f"no {key}")
        try:
            await store.commit([Put(resource=change(found)), event])
        except Conflict:
            continue
        return
    raise Conflict(f"{key} keeps changing; try again")


async def _check_all(
    documents: Sequence[Document], stored: dict[Key, AnyResource], fingerprint: Fingerprint
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
        elif there.document == document:
            change = "unchanged"
        else:
            change = "changed"
            update = {"document": document, "generation": there.generation + 1, "updated_at": now}
            writes.append(Put(resource=there.model_copy(update=update)))
        outcomes.append(
            Outcome(kind=document.kind, project=document.project, name=document.name, change=change)
        )
        if change != "unchanged":
            event = Event(at=now, key=document.key, name=f"{document.kind}.{change}", message="applied")
            writes.append(event)
    return writes, outcomes


def _names(resource: AnyResource, key: Key) -> bool:
    return key in references(resource.document).values()


async def _is_inhabited(store: Store, project: str) -> bool:
    return any([await store.all(kind, project) for kind in KINDS])
