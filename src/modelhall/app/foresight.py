"""What declared work will take, told before it starts: from what the same or the like took before.

A model is expected to take what its newest training took, or that of another model of its project with the same task
and family; a data set what its newest preparation took; a service what its replicas cost while nobody asks. What a
model's evaluation takes is little beside its training, and is left out, as is how many rows there are by now.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.app.accounts import Accounts
from modelhall.control import durations
from modelhall.control.declare import Outcome
from modelhall.core.kinds import Dataset, Document, Key, Model, Service
from modelhall.core.kinds.base import Frozen
from modelhall.core.kinds.dataset import DatasetResource
from modelhall.core.kinds.model import ModelResource
from modelhall.core.kinds.run import RunResource
from modelhall.core.kinds.scaling import Scaling
from modelhall.core.ports.book import Total
from modelhall.core.ports.store import Store

HOUR_S = 3600.0


class Expected(Frozen):
    """How long something is expected to run, and what that costs."""

    like: str | None = None
    """The run it is told from; None of replicas, which are told for an hour in which nobody asks."""
    duration_s: float
    energy_j: float
    co2_g: float
    cost_nano: int
    currency: str


class Foreseen(Outcome):
    """What a call does to one resource, and what that is expected to take; None where nothing like it has run."""

    expected: Expected | None = None


class Foresight:
    """Looks at what was done before."""

    def __init__(self, store: Store, accounts: Accounts) -> None:
        self._store = store
        self._accounts = accounts

    async def of(self, documents: Sequence[Document], outcomes: Sequence[Outcome]) -> list[Foreseen]:
        """The outcomes of declaring these documents, with what those will take that change something."""
        return [
            Foreseen(
                **outcome.model_dump(),
                expected=None if outcome.change == "unchanged" else await self._expected(document),
            )
            for document, outcome in zip(documents, outcomes, strict=True)
        ]

    async def _expected(self, document: Document) -> Expected | None:
        match document:
            case Service():
                asked = document.replicas
                count = (asked.min if isinstance(asked, Scaling) else asked) + document.standby
                held = document.resources
                if not count or not (held.cpus or held.gpus):
                    return None
                total = self._accounts.of_holding(held.cpus * count, held.gpus * count, held.gpu_type, HOUR_S)
                return self._told(total, HOUR_S)
            case Model():
                name = await self._training_like(document)
                return (
                    await self._as(Key("run", document.project, name), document.train.epochs)
                    if name
                    else None
                )
            case Dataset():
                found: DatasetResource | None = await self._store.get(document.key)
                versions = found.status.versions if found is not None else ()
                return await self._as(Key("run", document.project, versions[-1].run)) if versions else None
        return None

    async def _training_like(self, model: Model) -> str | None:
        """The newest training of this model, else of one like it."""
        models: list[ModelResource] = await self._store.find("model", model.project)
        like = [one for one in models if one.status.versions and _is_like(one.document, model)]
        like.sort(key=lambda one: (one.key == model.key, one.status.versions[-1].created_at))
        return like[-1].status.versions[-1].train_run if like else None

    async def _as(self, key: Key, epochs: int | None = None) -> Expected | None:
        """What a run took, or would have taken over so many epochs; None when it is gone."""
        run: RunResource | None = await self._store.get(key)
        if run is None:
            return None
        total = await self._accounts.entered(key.name, [key.path])
        times = durations.times_as_long(run, {"train": {"epochs": epochs}})
        return self._told(total, durations.took_s(run), like=key.name, times=times)

    def _told(
        self, total: Total, duration_s: float, *, like: str | None = None, times: float = 1.0
    ) -> Expected:
        return Expected(
            like=like,
            duration_s=duration_s * times,
            energy_j=total.energy_j * times,
            co2_g=total.co2_g * times,
            cost_nano=round(total.cost_nano * times),
            currency=self._accounts.currency,
        )


def _is_like(one: Model, other: Model) -> bool:
    """Whether what one of them took says something of the other."""
    if one.key == other.key:
        return True
    families = [model.network.family if model.network is not None else None for model in (one, other)]
    return one.task == other.task and one.base == other.base and families[0] == families[1]
