"""Looking into prepared data: rows, records, comparisons, exports. Another program reads it (`stages/look`): what
that takes is never loaded into this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from modelhall.core import versions
from modelhall.core.errors import Broken, NotFound, NotNow, Rejected
from modelhall.core.kinds import Key
from modelhall.core.kinds.dataset import DatasetResource, DatasetVersion, SourceFile
from modelhall.core.looking import PROGRAM, Form, Question
from modelhall.core.ports.store import Store
from modelhall.core.sealing import KeysOf
from modelhall.core.secrets import handed_keys
from modelhall.settings import Settings

CHUNK_BYTES = 1 << 16


class Looking:
    """All that can be asked about the content of data sets. A version is the current one unless it is named."""

    def __init__(self, store: Store, settings: Settings, keys_of: KeysOf) -> None:
        self._store = store
        self._settings = settings
        self._keys_of = keys_of

    async def rows(self, key: Key, version: str | None, split: str, limit: int) -> list[dict[str, Any]]:
        """The first rows of a split; raises NotFound, or NotNow before there is a version."""
        found = await self.version(key, version)
        return list(await self._answer(key, "rows", [found], split=split, limit=limit))

    async def record(self, key: Key, version: str | None) -> dict[str, Any]:
        """What a version tells of itself: its `dataset.json`. Raises NotFound, NotNow."""
        return dict(await self._answer(key, "record", [await self.version(key, version)]))

    async def compare(self, key: Key, before: str, after: str | None, examples: int) -> dict[str, Any]:
        """What differs between two versions. Raises NotFound, NotNow."""
        both = [await self.version(key, before), await self.version(key, after)]
        told = dict(await self._answer(key, "compare", both, limit=examples))
        one, other = both
        return {"before": one.id, "after": other.id, "sources": _sources(one.sources, other.sources), **told}

    async def matches(
        self, key: Key, found: Sequence[DatasetVersion], where: str
    ) -> dict[str, dict[str, int] | None]:
        """Version → split → how many rows the expression is true of; None where only those of its source could tell.
        Raises Rejected for an expression that does not work on the last of these versions."""
        counts = await self._answer(key, "match", found, where=where)
        return {version.id: count for version, count in zip(found, counts, strict=True)}

    async def export(
        self, key: Key, version: str | None, split: str | None, form: Form
    ) -> AsyncIterator[bytes]:
        """The files of a version as a tar, piece by piece; raises NotFound, NotNow, at once. Whoever reads it has all
        of it when it ends without an error."""
        found = await self.version(key, version)
        if split is not None and split not in found.rows:
            raise NotFound(f"no split {split!r}; there is: {', '.join(found.rows)}", field="split")
        return self._pieces(key, self._question(key, "export", [found], split=split, form=form))

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

    def _question(self, key: Key, ask: str, of: Sequence[DatasetVersion], **more: Any) -> Question:
        return Question(
            ask=ask,
            blobs=f"{self._settings.blobs}/{key.project}",
            cache=self._settings.home / "cache" / key.project,
            artifacts=tuple(version.artifact for version in of),
            **more,
        )

    async def _answer(self, key: Key, ask: str, of: Sequence[DatasetVersion], **more: Any) -> Any:
        question = self._question(key, ask, of, **more)
        text = b"".join([piece async for piece in self._pieces(key, question)])
        said = json.loads(text)
        if "problem" in said:
            problem = said["problem"]
            if problem["who"] != "caller":
                raise Broken(f"{key} cannot be read: {problem['message']}")
            sort = NotFound if ask == "rows" else Rejected
            raise sort(problem["message"], field=problem["field"])
        return said["answer"]

    async def _pieces(self, key: Key, question: Question) -> AsyncIterator[bytes]:
        """What the program says; raises Broken when it fails. It ends when nobody listens any more."""
        keys = await asyncio.to_thread(self._keys_of, key.project)
        with handed_keys(keys) as handed:
            program = await asyncio.create_subprocess_exec(
                sys.executable, "-m", PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**self._settings.environment, **{name: str(number) for name, number in handed.items()}},
                pass_fds=tuple(handed.values()),
            )  # fmt: skip
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            program.stdin.write(question.model_dump_json().encode())
            program.stdin.close()
            while piece := await program.stdout.read(CHUNK_BYTES):
                yield piece
            if code := await program.wait():
                raise Broken(f"{key} cannot be read (exit code {code})")
        finally:
            with contextlib.suppress(ProcessLookupError):
                program.kill()
            await program.wait()


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
