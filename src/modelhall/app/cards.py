"""Cards of models: all that is known of one version, from its documents, its artifacts and the ledger, in one piece.

How it is written for people is left to the doors.
"""

from __future__ import annotations

from typing import Any

from modelhall.app.accounts import Accounts
from modelhall.app.reader import Reader
from modelhall.core import versions
from modelhall.core.errors import Broken, NotFound, NotNow, Rejected
from modelhall.core.kinds import Key
from modelhall.core.kinds.model import ModelResource, ModelVersion
from modelhall.core.kinds.run import RunResource
from modelhall.core.names import split_reference
from modelhall.core.orders import TrainOutput
from modelhall.core.ports.store import Store


class Cards:
    """What can be asked about versions of models, and about how they were trained."""

    def __init__(self, store: Store, reader: Reader, accounts: Accounts) -> None:
        self._store = store
        self._reader = reader
        self._accounts = accounts

    async def card(self, key: Key, version: str | None) -> dict[str, Any]:
        """All about a version, the declared one unless it is named. Raises NotFound, NotNow before there is one."""
        model = await self._model(key)
        found = self._version(model, version)
        runs = [Key("run", key.project, run).path for run in (found.train_run, found.evaluate_run)]
        accepted = model.status.accepted
        evaluation = found.evaluation.artifact if found.evaluation is not None else None
        return {
            "model": key.name,
            "project": key.project,
            "number": versions.number_of(model.status.versions, found),
            "follows": accepted is not None and accepted.id == found.id,
            "declared": model.document.model_dump(mode="json", include={"card", "require"}),
            "version": found.model_dump(mode="json"),
            "data": await self._data(key.project, found),
            "record": await self._told(key, found.record),
            "evaluation": await self._told(key, evaluation),
            "cost": await self._accounts.cost(f"{key.name}@{found.id[:8]}", runs),
        }

    async def compare(self, key: Key, before: str, after: str | None) -> dict[str, Any]:
        """Two versions row by row; raises NotFound, NotNow, and Rejected unless both were measured on the same
        rows."""
        model = await self._model(key)
        both = [self._version(model, word) for word in (before, after)]
        artifacts = [one.evaluation.artifact for one in both if one.evaluation is not None]
        if len(artifacts) < len(both):
            raise Rejected(
                "one of them was measured by an earlier hall, which kept nothing of single rows",
                field="version",
            )
        told = await self._reader.answer(key, "paired", artifacts)
        return {"before": both[0].id, "after": both[1].id, **told}

    async def record(self, key: Key) -> dict[str, Any]:
        """How a run trained; raises NotFound, and Rejected when it trained nothing."""
        run: RunResource | None = await self._store.get(key)
        if run is None:
            raise NotFound(f"no {key}")
        stage = run.document.stage
        if stage is None or stage.program != "train":
            raise Rejected(f"{key} is no training; `hall get runs` shows which are", field="name")
        if run.status.result is None:
            raise NotNow(f"{key} is {run.status.state}; its curves are kept when it is over", delay_s=5)
        made = TrainOutput.model_validate(run.status.result)
        if made.record is None:
            raise Rejected(f"{key} was made by an earlier hall, which kept no record", field="name")
        (record,) = await self._reader.answer(key, "told", [made.record])
        output = made.model_dump(mode="json")
        return {"run": key.name, "state": run.status.state, "output": output, "record": record}

    async def _model(self, key: Key) -> ModelResource:
        model: ModelResource | None = await self._store.get(key)
        if model is None:
            raise NotFound(f"no {key}")
        return model

    def _version(self, model: ModelResource, word: str | None) -> ModelVersion:
        meant = word or model.status.version
        if meant is None:
            raise NotNow(f"{model.key} has no version yet: {model.status.reason}", delay_s=5)
        found, why = versions.named(model.status.versions, meant, str(model.key))
        if found is None:
            raise NotFound(why, field="version")
        return found

    async def _data(self, project: str, version: ModelVersion) -> dict[str, Any]:
        """The data version it was made from; only its name where that is gone."""
        name, id = split_reference(version.data)
        dataset = await self._store.get(Key("dataset", project, name))
        found = next((v for v in dataset.status.versions if v.id == id), None) if dataset else None
        if dataset is None or found is None:
            return {"name": name, "version": id}
        return {
            "name": name,
            "version": id,
            "rows": found.rows,
            "columns": [column.name for column in found.columns],
            "size_bytes": found.size_bytes,
            "source": dataset.document.source,
            "licence": dataset.document.licence,
            "erased": found.erased is not None,
        }

    async def _told(self, key: Key, artifact: str | None) -> dict[str, Any] | None:
        """What an artifact tells; None where there is none. That it is damaged is told, and the rest as well."""
        if artifact is None:
            return None
        try:
            (found,) = await self._reader.answer(key, "told", [artifact])
        except (Broken, Rejected) as error:
            return {"problem": error.message}
        return dict(found)
