"""What somebody may see of the store is what there is of his projects, in the same order and the same pages."""

from __future__ import annotations

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.app import sight
from modelhall.core.access import ALL, VERBS_OF, Identity
from modelhall.core.errors import Denied, NotFound
from modelhall.core.kinds import KINDS, Key
from modelhall.core.ports.store import Event, Put

pytestmark = pytest.mark.anyio

OPERATOR = Identity(name="op", project="default", everywhere=ALL)
ONLY_SEES = Identity(name="op", project="default", everywhere=frozenset({"see"}))
ANNA = Identity(
    name="user anna", project="a", grants={"a": VERBS_OF["viewer"], "c": VERBS_OF["admin"], "gone": ALL}
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def put(store: MemoryStore, kind: str, project: str, name: str, **labels: str) -> None:
    own = {"command": ["true"]} if kind == "run" else {}
    made = KINDS[kind].document.model_validate({"name": name, "project": project, "labels": labels, **own})
    status = KINDS[kind].status()
    resource = KINDS[kind].resource(document=made, status=status, uid="u", created_at=0.0, updated_at=0.0)
    event = Event(at=float(len(name)), key=made.key, name=f"{kind}.made", message="")
    await store.commit([Put(resource=resource), event])


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    for project in ("a", "b", "c"):
        await put(store, "project", "default", project, mine=project)
        for name in ("x", "xx", "xxx"):
            await put(store, "run", project, name, mine=project)
        await put(store, "token", project, "t")
    await put(store, "user", "default", "anna")
    return store


async def seen(store: MemoryStore, who: Identity, kind: str, project: str | None = None) -> list[str]:
    """By pages of two, as whoever pages sees it."""
    found: list[Key] = []
    while page := await sight.find(store, who, kind, project, after=found[-1] if found else None, limit=2):
        found += [one.key for one in page]
    return [f"{key.project}/{key.name}" for key in found]


async def test_of_all_projects_one_sees_ones_own(store: MemoryStore) -> None:
    assert await seen(store, ANNA, "run") == ["a/x", "a/xx", "a/xxx", "c/x", "c/xx", "c/xxx"]
    assert await seen(store, ANNA, "token") == ["c/t"]
    assert await seen(store, ANNA, "project") == ["default/a", "default/c"]
    assert await seen(store, ANNA, "user") == []


async def test_whoever_runs_the_hall_sees_all(store: MemoryStore) -> None:
    assert len(await seen(store, OPERATOR, "run")) == 9
    assert len(await seen(store, OPERATOR, "token")) == len(await seen(store, OPERATOR, "project")) == 3


async def test_another_project_is_not_there_and_more_than_ones_role_is_denied(store: MemoryStore) -> None:
    assert await seen(store, ANNA, "run", "a") == ["a/x", "a/xx", "a/xxx"]
    for project in ("b", "nowhere"):
        with pytest.raises(NotFound, match=project):
            await seen(store, ANNA, "run", project)
        with pytest.raises(NotFound, match=project):
            await sight.events(store, ANNA, project, 10)
    with pytest.raises(Denied):
        await seen(store, ANNA, "token", "a")


async def test_labels_find_nothing_elsewhere(store: MemoryStore) -> None:
    for kind in ("run", "project"):
        assert await sight.find(store, ANNA, kind, None, labels={"mine": "b"}, limit=9) == []
        assert await sight.find(store, ANNA, kind, None, labels={"mine": "c"}, limit=9)


async def test_events_are_those_of_ones_own_projects_newest_first(store: MemoryStore) -> None:
    found = await sight.events(store, ANNA, None, 100)
    assert {event.key.project for event in found} == {"a", "c"}
    assert {event.key.project for event in found if event.key.kind == "token"} == {"c"}
    assert [event.at for event in found] == sorted((event.at for event in found), reverse=True)
    assert len(await sight.events(store, ANNA, None, 3)) == 3


async def test_whoever_may_only_look_everywhere_is_told_of_no_tokens_and_users(store: MemoryStore) -> None:
    kinds = {event.key.kind for event in await sight.events(store, ONLY_SEES, None, 100)}
    assert kinds == {"run", "project"}
    assert {event.key.kind for event in await sight.events(store, OPERATOR, None, 100)} == kinds | {
        "token",
        "user",
    }
