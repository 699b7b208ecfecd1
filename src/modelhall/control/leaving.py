"""A user leaves: what was given to him goes with him, so that nobody who is called the same later comes by it."""

from __future__ import annotations

from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.ports.store import Event, Put, Store, Write


async def leave(store: Store, user: str, now: float) -> list[Write]:
    """What ends a user's memberships and has his tokens removed."""
    key = Key("user", DEFAULT_PROJECT, user)
    projects = [found for found in await store.find("project") if user in found.document.members]
    tokens = [
        found for found in await store.find("token") if found.document.user == user and not found.deleting
    ]
    writes: list[Write] = []
    for project in projects:
        writes += [
            Put(resource=_without(project, user)),
            Event(at=now, key=project.key, name="project.members-changed", message=f"{key} is removed"),
        ]
    for token in tokens:
        writes += [
            Put(resource=token.model_copy(update={"deleting": True})),
            Event(at=now, key=token.key, name="token.deleting", message=f"{key} is removed"),
        ]
    return writes


def _without(project: AnyResource, user: str) -> AnyResource:
    members = {name: role for name, role in project.document.members.items() if name != user}
    document = project.document.model_copy(update={"members": members})
    return project.model_copy(update={"document": document, "generation": project.generation + 1})
