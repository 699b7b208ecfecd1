"""The rules all stores share: which of some commits may be done one after the other, and what is then to be written.

No I/O. A store asks `wanted` what has to be known, looks that up within its transaction, and has a `Judge` go
through the commits; what comes out is written as it is. What one store cannot hold, none takes that outlives its
process: whoever moves a hall from one to another is not to lose anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from modelhall.core.errors import Broken, Conflict, Gone, HallError, Stale
from modelhall.core.kinds import AnyResource, Key, is_settled, resource_from_json, rests
from modelhall.core.ports.store import Answer, Delete, Event, Hold, Lead, Lease, Need, Put, Write
from modelhall.core.references import references

B = TypeVar("B")


class Stored(NamedTuple):
    """What the rules need to know of a resource that is there."""

    revision: int
    deleting: bool
    owner: str | None


class Wanted(NamedTuple):
    """What has to be known before commits can be judged."""

    keys: set[Key]
    owners: set[str]
    """Paths of resources whose number of owned ones matters."""
    once: set[str]
    lease: bool


@dataclass(kw_only=True)
class Facts:
    """What is stored now, as far as it is wanted."""

    revision: int
    resources: dict[Key, Stored] = field(default_factory=dict)
    owned: dict[str, int] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    lease: Lease | None = None


class Row(NamedTuple, Generic[B]):
    """The newest state of one resource; `body` is None when it was removed."""

    key: Key
    revision: int
    owner: str | None
    labels: dict[str, str]
    deleting: bool
    resting: bool
    settled: bool
    names: tuple[Key, ...]
    """What its document names."""
    body: B | None


@dataclass(kw_only=True)
class Effects(Generic[B]):
    """All that is to be written for the commits that may be done. Of a resource there is one row, the last."""

    rows: dict[Key, Row[B]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    lease: Lease | None = None


def encoded(resource: AnyResource) -> str:
    """The resource as JSON. Raises ValueError when it could not be read back, such as a figure that is no number:
    once stored it would be in the way of whoever reads its kind, for ever."""
    body = resource.model_dump_json()
    resource_from_json(resource.key.kind, body)
    return body


def is_text(*words: str) -> bool:
    """Whether every store can hold these words: they have no NUL and no half characters."""
    try:
        return b"\0" not in "".join(words).encode()
    except UnicodeEncodeError:
        return False


def check_history(after: int, newest: int, compacted: int) -> None:
    """Raise Gone unless everything that happened after revision `after` is known."""
    if after > newest or 0 < after < compacted:
        raise Gone(
            f"the changes after revision {after} are not known any more (they are from {compacted} to {newest}); "
            "read what there is now"
        )


def wanted(commits: Iterable[Sequence[Write]]) -> Wanted:
    """What `Judge` will have to know to judge these commits. What no store can hold is not asked for: it is not
    there."""
    found = Wanted(set(), set(), set(), False)
    for writes in commits:
        for write in writes:
            match write:
                case Put(resource=resource):
                    found.keys.add(resource.key)
                case Delete(key=key):
                    found.keys.add(key)
                    found.owners.add(key.path)
                case Need(key=key):
                    found.keys.add(key)
                case Answer(once=once):
                    found.once.add(once)
                case Hold() | Lead():
                    found = found._replace(lease=True)
    return Wanted(
        {key for key in found.keys if is_text(*key)},
        {path for path in found.owners if is_text(path)},
        {once for once in found.once if is_text(once)},
        found.lease,
    )


class Judge(Generic[B]):
    """Goes through commits in their order; `effects` gathers what those that may be done write."""

    def __init__(self, facts: Facts, encode: Callable[[AnyResource], B]) -> None:
        self.effects: Effects[B] = Effects()
        self._facts = facts
        self._encode = encode

    @property
    def revision(self) -> int:
        return self._facts.revision

    def judge(self, writes: Sequence[Write]) -> list[AnyResource] | HallError:
        """What the commit put, with the new revisions, or why it may not be done; then it leaves no trace."""
        trial = _Trial(self._facts, self._encode)
        try:
            for write in writes:
                trial.take(write)
        except Conflict as error:
            return error
        except ValueError as error:
            return Broken(f"this cannot be written down: {error}")
        self._accept(trial)
        return trial.put

    def _accept(self, trial: _Trial[B]) -> None:
        facts, effects = self._facts, self.effects
        facts.revision = trial.revision
        if trial.lease != facts.lease:
            facts.lease = effects.lease = trial.lease
        facts.answered |= {answer.once for answer in trial.answers}
        for path, more in trial.more_owned.items():
            facts.owned[path] = facts.owned.get(path, 0) + more
        for key, row in trial.rows.items():
            facts.resources.pop(key, None)
            if row.body is not None:
                facts.resources[key] = Stored(row.revision, row.deleting, row.owner)
            effects.rows.pop(key, None)
            effects.rows[key] = row
        effects.events += trial.events
        effects.answers += trial.answers


class _Trial(Generic[B]):
    """One commit, on top of what is stored."""

    def __init__(self, facts: Facts, encode: Callable[[AnyResource], B]) -> None:
        self.revision = facts.revision
        self.lease = facts.lease
        self.put: list[AnyResource] = []
        self.rows: dict[Key, Row[B]] = {}
        self.events: list[Event] = []
        self.answers: list[Answer] = []
        self.more_owned: dict[str, int] = {}
        self._facts = facts
        self._encode = encode
        self._new: set[Key] = set()

    def take(self, write: Write) -> None:
        """Take in one write; raises Conflict, or ValueError for what no store can hold."""
        match write:
            case Put(resource=resource):
                self._put(resource)
            case Delete(key=key, revision=revision):
                self._delete(key, revision)
            case Event(at=at, key=key, name=name, message=message):
                # A message may quote anything; a NUL in it is no reason to lose what it tells of.
                _check(at, *key, name, message.replace("\0", ""))
                self.events.append(write)
            case Need(key=key):
                self._need(key)
            case Answer(at=at, once=once, request=request, body=body):
                _check(at, once, request, body)
                if once in self._facts.answered or any(once == answer.once for answer in self.answers):
                    raise Conflict(f"the idempotency key {once!r} has been answered")
                self.answers.append(write)
            case Hold(lease=lease, before=before):
                _check(0.0, lease.holder)
                if self.lease != before:
                    raise Conflict(f"the lease is {self.lease}, and the write expected {before}")
                self.lease = lease
            case Lead(epoch=epoch):
                if self.lease is None or self.lease.epoch != epoch:
                    raise Stale(f"this write is of epoch {epoch}, and the lease is {self.lease}")

    def _put(self, resource: AnyResource) -> None:
        key, owner = resource.key, getattr(resource.document, "owner", None)
        _check(0.0, *key, owner or "")
        before = self._expect(key, resource.revision)
        self.revision += 1
        stored = resource.model_copy(update={"revision": self.revision})
        self._count(before.owner if before else None, -1)
        self._count(owner, +1)
        self.rows.pop(key, None)
        self.rows[key] = Row(
            key=key,
            revision=self.revision,
            owner=owner,
            labels=stored.document.labels,
            deleting=stored.deleting,
            resting=rests(stored),
            settled=is_settled(stored),
            names=tuple(references(stored.document).values()),
            body=self._encode(stored),
        )
        self._new.add(key)
        self.put.append(stored)

    def _delete(self, key: Key, revision: int) -> None:
        before = self._expect(key, revision)
        if before is None:
            raise Conflict(f"{key} is not there (revision 0), so it cannot be removed; read it again")
        owned = self._facts.owned.get(key.path, 0) + self.more_owned.get(key.path, 0)
        if owned:
            raise Conflict(f"{key} owns {owned} that are there; they have to go first")
        self._count(before.owner, -1)
        self.revision += 1
        self.rows.pop(key, None)
        self.rows[key] = Row(key, self.revision, None, {}, False, True, False, (), None)
        self._new.discard(key)

    def _need(self, key: Key) -> None:
        found = self._now(key)
        if found is None or found.deleting:
            raise Conflict(f"{key} is {'being removed' if found else 'gone'}, and the write needs it")

    def _expect(self, key: Key, revision: int) -> Stored | None:
        """What is at `key`, if that is what was expected."""
        # Nobody can know yet which revision a write of the same commit gets.
        found = self._now(key)
        number = found.revision if found else 0
        if key in self._new or number != revision:
            raise Conflict(f"{key} is at revision {number}, and the write expected {revision}; read it again")
        return found

    def _now(self, key: Key) -> Stored | None:
        row = self.rows.get(key)
        if row is None:
            return self._facts.resources.get(key)
        return Stored(row.revision, row.deleting, row.owner) if row.body is not None else None

    def _count(self, owner: str | None, more: int) -> None:
        if owner is not None:
            self.more_owned[owner] = self.more_owned.get(owner, 0) + more


def _check(at: float, *words: str) -> None:
    """Raise ValueError for an instant or words that not every store can hold."""
    if not math.isfinite(at):
        raise ValueError(f"{at} is no instant")
    if not is_text(*words):
        raise ValueError(f"{words!r} are no text: they have a NUL or half a character")
