"""Hand-made resources for the reconcilers' tests, and what they decided, by sort."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control.actions import Action, Create, Note, Remove, Update
from modelhall.control.view import View
from modelhall.core.kinds import KINDS, AnyResource, Document, Run
from modelhall.core.kinds.run import Attempt, RunResource, Stage
from modelhall.core.ports.store import Put

NOW = 1_000_000.0
A = TypeVar("A")


def resource(document: Document, **status: Any) -> AnyResource:
    """A stored resource with this status."""
    kind = KINDS[document.kind]
    return kind.resource(
        document=document, status=kind.status(**status), uid=f"uid-{document.name}", revision=1,
        created_at=NOW - 100, updated_at=NOW - 100,
    )  # fmt: skip


def run(name: str = "r", *, deleting: bool = False, state: str = "running", **fields: Any) -> RunResource:
    """A run in `state`, with one attempt on node n1 unless it has not started."""
    status = {key: fields.pop(key) for key in list(fields) if key not in Run.model_fields}
    begun = state not in ("waiting", "queued")
    some: dict[str, Any] = {
        "attempt": 1, "node": "n1", "attempts": (Attempt(number=1, node="n1", started_at=NOW - 100),),
        "reason": "attempt 1 on node n1",
    }  # fmt: skip
    document = Run(name=name, **({"command": ("work",)} | fields if "stage" not in fields else fields))
    found = resource(document, state=state, **(some if begun else {}) | status)
    return found.model_copy(update={"deleting": deleting})


def stage(program: str, key: str | None = "k1", **order: Any) -> Stage:
    return Stage(program=program, order=order, key=key)


def store_of(*resources: AnyResource) -> MemoryStore:
    """A store that holds these."""
    store = MemoryStore()
    new = [resource.model_copy(update={"revision": 0}) for resource in resources]
    asyncio.run(store.commit([Put(resource=resource) for resource in new]))
    return store


def view_of(*resources: AnyResource) -> View:
    """What a loop sees of a store that holds these."""
    view = View(store_of(*resources))
    asyncio.run(view.load())
    return view


def of(sort: type[A], actions: list[Action]) -> list[A]:
    return [action for action in actions if isinstance(action, sort)]


def created(actions: list[Action]) -> list[str]:
    return [action.document.name for action in of(Create, actions)]


def removed(actions: list[Action]) -> list[str]:
    """What is marked for removal, or removed."""
    marked = [u.resource.key.name for u in of(Update, actions) if u.resource.deleting]
    return marked + [r.resource.key.name for r in of(Remove, actions)]


def status_of(actions: list[Action], before: AnyResource) -> Any:
    """The status a reconciler leaves its resource in."""
    updates = [u.resource for u in of(Update, actions) if u.resource.key == before.key]
    return (updates[-1] if updates else before).status


def notes(actions: list[Action]) -> list[str]:
    return [note.name for note in of(Note, actions)]
