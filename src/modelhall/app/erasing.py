"""Erasing rows from a data set: finding what holds them and what descends from them, and recording that they are to
go. The rest follows from the record (`control/erasures.py`).

Which rows are meant is kept as a secret of the project and nowhere else. What stands in the record, the events and
the audit log is an id: a digest of the words under a key of the hall's, of no use to whoever guesses at them.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import TypeAdapter

from modelhall.app.looking import Looking
from modelhall.control.idempotency import Once, Written, commit_once, unheard
from modelhall.core import digest
from modelhall.core.adapter_names import called
from modelhall.core.errors import NotFound, NotNow, Rejected
from modelhall.core.failpoints import reach
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.dataset import DatasetResource, DatasetVersion, Erasure, secret_of
from modelhall.core.names import split_reference
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.secrets import Secrets
from modelhall.core.ports.store import Event, Put, Store, Write
from modelhall.core.references import DATASET_SCHEME

ID_LENGTH = 16
LONGEST_WHERE = 2000


class Descending(Frozen):
    """What was made of a data set's rows, each by name with the versions."""

    datasets: dict[str, tuple[str, ...]]
    models: dict[str, tuple[str, ...]]
    services: dict[str, str]
    """Name → the model it names; an adapter of a service by the name it is asked by."""


class Found(Frozen):
    """What an erasure is about."""

    erasure: str
    change: Literal["none", "recorded", "unchanged"]
    """none: nothing was asked to be changed, or no row is meant; unchanged: it was recorded before."""
    rows: dict[str, dict[str, int] | None]
    """Version → split → rows; None where only the rows of its source can tell."""
    descending: Descending


FOUND = TypeAdapter(Found)


class Erasing:
    """Erasures of one hall. `key` is what their ids are made with."""

    def __init__(self, store: Store, looking: Looking, secrets: Secrets, key: bytes, clock: Clock) -> None:
        self._store = store
        self._looking = looking
        self._secrets = secrets
        self._key = key
        self._clock = clock

    async def find(self, key: Key, where: str) -> Found:
        """How many rows are meant, and what descends from them. Raises NotFound, NotNow before there is a version,
        and Rejected for an expression that does not work on it."""
        dataset = await self._dataset(key)
        if not 0 < len(where) <= LONGEST_WHERE:
            raise Rejected(
                f"an expression has 1 to {LONGEST_WHERE} characters, not {len(where)}", field="where"
            )
        rows = await self._looking.matches(key, _to_look_at(dataset), where)
        held = {id for id, counts in rows.items() if counts is None or any(counts.values())}
        return Found(
            erasure=self._id(key, where),
            change="none",
            rows=rows,
            descending=await self._descending(key, held),
        )

    async def record(
        self, key: Key, where: str, *, by: str, once: Once | None = None, written: Written = unheard
    ) -> Found:
        """Have the rows be in no version any more. What holds none is kept, and recorded is nothing where no version
        holds any. Raises as `find` does."""
        found = await self.find(key, where)
        clean = tuple(id for id, counts in found.rows.items() if counts and not any(counts.values()))
        if len(clean) == len(found.rows):
            return found
        # Durable before it is recorded: what is recorded can be carried out.
        await asyncio.to_thread(self._secrets.put, key.project, secret_of(found.erasure), where.encode())
        reach("erasing.secret-kept")
        now = self._clock.now()
        erasure = Erasure(id=found.erasure, at=now, by=by, clean=clean)

        async def plan() -> tuple[Sequence[Write], Found]:
            dataset = await self._dataset(key)
            if any(known.id == erasure.id for known in dataset.status.erasures):
                return [], found.model_copy(update={"change": "unchanged"})
            recorded = dataset.with_status(erasures=(*dataset.status.erasures, erasure))
            recorded = recorded.model_copy(update={"generation": dataset.generation + 1})
            event = Event(at=now, key=key, name="dataset.erasing", message=_told(erasure, found.rows))
            return [Put(resource=recorded), event], found.model_copy(update={"change": "recorded"})

        return await commit_once(self._store, plan, once=once, answers=FOUND, now=now, written=written)

    def _id(self, key: Key, where: str) -> str:
        """The same for the same words about the same data set."""
        said = digest.canonical([key.project, key.name, where])
        return hmac.digest(self._key, said, "sha256").hex()[:ID_LENGTH]

    async def _dataset(self, key: Key) -> DatasetResource:
        found: DatasetResource | None = await self._store.get(key)
        if found is None or found.deleting:
            raise NotFound(f"no {key}")
        if found.status.current is None:
            raise NotNow(f"{key} has no version yet: {found.status.reason}", delay_s=5)
        return found

    async def _descending(self, key: Key, held: set[str]) -> Descending:
        of_kind = {
            kind: await self._store.find(kind, key.project) for kind in ("dataset", "model", "service")
        }
        versions = _made_of(key, held, of_kind["dataset"])
        named = {f"{name}@{id}" for name, ids in versions.items() for id in ids}
        models = {
            model.key.name: tuple(v.id for v in model.status.versions if v.data in named)
            for model in of_kind["model"]
        }
        models = {name: ids for name, ids in models.items() if ids}
        services = {
            called(service.key.name, adapter): model
            for service in of_kind["service"]
            for adapter, model in {"": service.document.model, **service.document.adapters}.items()
        }
        return Descending(
            datasets={name: tuple(ids) for name, ids in versions.items() if name != key.name},
            models=models,
            services={name: model for name, model in services.items() if split_reference(model)[0] in models},
        )


def _to_look_at(dataset: DatasetResource) -> list[DatasetVersion]:
    """The versions that have content, the current one last."""
    there = [version for version in dataset.status.versions if version.erased is None]
    return sorted(there, key=lambda version: version.id == dataset.status.version)


def _made_of(key: Key, held: set[str], datasets: Sequence[AnyResource]) -> dict[str, list[str]]:
    """Name → versions, of the data set itself and of all that were made of these versions, directly or not."""
    found: dict[str, list[str]] = {key.name: sorted(held)}
    artifacts = {
        version.artifact
        for dataset in datasets
        if dataset.key == key
        for version in dataset.status.versions
        if version.id in held
    }
    is_new = True
    while is_new:
        is_new = False
        for dataset in datasets:
            for version in dataset.status.versions:
                ids = found.setdefault(dataset.key.name, [])
                of_these = version.artifact in artifacts or not artifacts.isdisjoint(_above(version))
                if of_these and version.id not in ids and version.erased is None:
                    ids.append(version.id)
                    artifacts.add(version.artifact)
                    is_new = True
    return {name: ids for name, ids in found.items() if ids}


def _above(version: DatasetVersion) -> list[str]:
    """The artifacts of other data sets that a version was made of."""
    return [file.digest for file in version.sources if file.path.startswith(DATASET_SCHEME)]


def _told(erasure: Erasure, rows: Mapping[str, Mapping[str, int] | None]) -> str:
    known = sum(sum(counts.values()) for counts in rows.values() if counts)
    return f"erasure {erasure.id} by {erasure.by}: {known} rows, over {len(rows)} versions"
