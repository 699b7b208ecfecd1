"""What a reconciler may ask of the loop. Data only: the loop does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelhall.core.kinds import AnyResource, Document, Key
from modelhall.core.ports.launcher import AttemptId, Launch


@dataclass(frozen=True, kw_only=True)
class Create:
    """Store a new resource for `document`, unless its key is taken."""

    document: Document
    status: Mapping[str, object] = field(default_factory=dict)
    """Fields of its status that are known already."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """Replace a resource by this newer state of it. Its document stays: only people change those."""

    resource: AnyResource


@dataclass(frozen=True, kw_only=True)
class Remove:
    resource: AnyResource


@dataclass(frozen=True, kw_only=True)
class Note:
    """Tell people why something happened."""

    key: Key
    name: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Start:
    launch: Launch


@dataclass(frozen=True, kw_only=True)
class Stop:
    id: AttemptId
    grace_s: float


@dataclass(frozen=True, kw_only=True)
class Forget:
    """Remove what the launcher keeps about a run."""

    run_uid: str


@dataclass(frozen=True, kw_only=True)
class Wake:
    """Reconcile this resource again so much later, whatever happens until then."""

    key: Key
    after_s: float


Action = Create | Update | Remove | Note | Start | Stop | Forget | Wake


def update_status(resource: AnyResource, **status: object) -> list[Action]:
    """Write these status fields, unless they are there already; the document is thereby dealt with."""
    changed = resource.with_status(**status, observed_generation=resource.generation)
    return [Update(resource=changed)] if changed.status != resource.status else []
