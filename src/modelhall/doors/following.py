"""How the client follows resources: a list, then its changes, and both anew when too much was missed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from modelhall.core.errors import Gone, NotNow
from modelhall.core.kinds import KINDS, AnyResource, Key
from modelhall.core.ports.store import Change
from modelhall.doors.wire import AGAIN_S, Told

LONGEST_DELAY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Resources as they were at a revision, or newer: a watch from it on misses nothing."""

    items: list[AnyResource]
    revision: int
    is_whole: bool = True
    """Whether these are all."""


def follow(
    look: Callable[[], Listing], listen: Callable[[int], Iterator[Told]], known: Listing | None
) -> Iterator[Change]:
    """What is not `known` of the resources there are, then each change as it comes, for ever.

    `look` lists them, `listen` gives the events after a revision. While the hall is away this waits for it, and goes
    on where it was; nothing is left out, and no revision of a resource is given twice.
    """
    seen = {resource.key: resource.revision for resource in known.items} if known else {}
    at = known.revision if known else None
    while True:
        try:
            if at is None:
                listing = look()
                yield from _differences(seen, listing)
                at = listing.revision
            for told in listen(at):
                if told.name == "gone":
                    at = None
                    break
                if told.name in ("changed", "removed") and _is_news(seen, change := _change(told.data)):
                    yield change
                at = at if told.id is None else told.id
            time.sleep(AGAIN_S)
        except Gone:
            at = None
        except NotNow as error:
            time.sleep(min(error.delay_s, LONGEST_DELAY_S))


def resource_of(data: dict[str, Any]) -> AnyResource:
    """A resource as the hall sends it."""
    resource: AnyResource = KINDS[data["document"]["kind"]].resource.model_validate(data)
    return resource


def _differences(seen: dict[Key, int], listing: Listing) -> Iterator[Change]:
    there = {resource.key: resource for resource in listing.items}
    found = [Change(revision=listing.revision, key=key, resource=None) for key in seen if key not in there]
    found += [Change(revision=r.revision, key=key, resource=r) for key, r in there.items()]
    yield from (change for change in found if _is_news(seen, change))


def _is_news(seen: dict[Key, int], change: Change) -> bool:
    """Whether it tells something, which is then known."""
    if change.resource is None:
        return seen.pop(change.key, None) is not None
    is_news = seen.get(change.key) != change.revision
    seen[change.key] = change.revision
    return is_news


def _change(data: dict[str, Any]) -> Change:
    resource = data["resource"]
    return Change(
        revision=data["revision"],
        key=Key(data["kind"], data["project"], data["name"]),
        resource=resource_of(resource) if resource else None,
    )
