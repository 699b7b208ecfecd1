"""Looking into prepared data: rows, records, comparisons, exports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from modelhall.app.reader import Reader
from modelhall.core import versions
from modelhall.core.errors import NotFound, NotNow
from modelhall.core.kinds import Key
from modelhall.core.kinds.dataset import DatasetResource, DatasetVersion, SourceFile
from modelhall.core.looking import Form
from modelhall.core.ports.store import Store


class Looking:
    """All that can be asked about the content of data sets. A version is the current one unless it is named."""

    def __init__(self, store: Store, reader: Reader) -> None:
        self._store = store
        self._reader = reader

    async def rows(self, key: Key, version: str | None, split: str, limit: int) -> list[dict[str, Any]]:
        """The first rows of a split; raises NotFound, or NotNow before there is a version."""
        found = await self.version(key, version)
        return list(await self._reader.answer(key, "rows", [found.artifact], split=split, limit=limit))

    async def record(self, key: Key, version: str | None) -> dict[str, Any]:
        """What a version tells of itself: its `dataset.json`. Raises NotFound, NotNow."""
        found = await self.version(key, version)
        return dict(await self._reader.answer(key, "record", [found.artifact]))

    async def compare(self, key: Key, before: str, after: str | None, examples: int) -> dict[str, Any]:
        """What differs between two versions. Raises NotFound, NotNow."""
        one, other = await self.version(key, before), await self.version(key, after)
        both = [one.artifact, other.artifact]
        told = dict(await self._reader.answer(key, "compare", both, limit=examples))
        return {"before": one.id, "after": other.id, "sources": _sources(one.sources, other.sources), **told}

    async def matches(
        self, key: Key, found: Sequence[DatasetVersion], where: str
    ) -> dict[str, dict[str, int] | None]:
        """Version → split → how many rows the expression is true of; None where only those of its source could tell.
        Raises Rejected for an expression that does not work on the last of these versions."""
        artifacts = [version.artifact for version in found]
        counts = await self._reader.answer(key, "match", artifacts, where=where)
        return {version.id: count for version, count in zip(found, counts, strict=True)}

    async def export(
        self, key: Key, version: str | None, split: str | None, form: Form
    ) -> AsyncIterator[bytes]:
        """The files of a version as a tar, piece by piece; raises NotFound, NotNow, at once. Whoever reads it has all
        of it when it ends without an error."""
        found = await self.version(key, version)
        if split is not None and split not in found.rows:
            raise NotFound(f"no split {split!r}; there is: {', '.join(found.rows)}", field="split")
        return self._reader.pieces(key, "export", [found.artifact], split=split, form=form)

    async def version(self, key: Key, named: str | None) -> DatasetVersion:
        """The version somebody means; raises NotFound, NotNow before there is one."""
        dataset: DatasetResource | None = await self._store.get(key)
        if dataset is None:
            raise NotFound(f"no {key}")
        if named is None:
            if dataset.status.current is None:
                raise NotNow(f"{key} has no version yet: {dataset.status.reason}", delay_s=5)
            return dataset.status.current
        found, why = versions.named(dataset.status.versions, named, str(key))
        if found is None:
            raise NotFound(why, field="version")
        if found.erased is not None:
            raise NotFound(
                f"version {named} of {key} held rows that were erased, and its content is deleted",
                field="version",
            )
        return found


def _sources(before: Sequence[SourceFile], after: Sequence[SourceFile]) -> dict[str, list[dict[str, Any]]]:
    """The files that only one of two versions was made from, and those whose content changed."""
    was, now = ({file.path: file for file in files} for files in (before, after))
    return {
        "removed": [_told(was[path]) for path in sorted(was.keys() - now.keys())],
        "added": [_told(now[path]) for path in sorted(now.keys() - was.keys())],
        "changed": [
            {"path": path, "before": was[path].digest, "after": now[path].digest}
            for path in sorted(was.keys() & now.keys())
            if was[path].digest != now[path].digest
        ],
    }


def _told(file: SourceFile) -> dict[str, Any]:
    return file.model_dump(mode="json")
