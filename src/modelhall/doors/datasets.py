"""The client's part for what is in data sets: `Hall().datasets`. A version is written `2`, for the second that was
made, or as its id begins; without one the current version is meant."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from modelhall.core import files
from modelhall.core.errors import Broken, Rejected
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.doors.wire import Wire, error_of

LAST = "dataset.json"
_FILE = re.compile(r"[a-z]+-[0-9]{5}-of-[0-9]{5}\.(parquet|jsonl)|dataset\.json")


class Datasets:
    """Looks into the data sets of the hall that is asked. Methods raise the errors of `modelhall.core.errors`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def rows(
        self,
        name: str,
        *,
        version: str | None = None,
        split: str = "train",
        limit: int = 5,
        project: str = DEFAULT_PROJECT,
    ) -> list[dict[str, Any]]:
        """The first rows of a split; bytes come as base64."""
        return list(self._get(name, "rows", project, version=version, split=split, limit=limit))

    def record(
        self, name: str, *, version: str | None = None, project: str = DEFAULT_PROJECT
    ) -> dict[str, Any]:
        """What a version tells of itself: its `dataset.json`."""
        return dict(self._get(name, "record", project, version=version))

    def compare(
        self,
        name: str,
        before: str,
        after: str | None = None,
        *,
        examples: int = 3,
        project: str = DEFAULT_PROJECT,
    ) -> dict[str, Any]:
        """What differs between two versions."""
        return dict(self._get(name, "compare", project, before=before, after=after, examples=examples))

    def export(
        self,
        name: str,
        to: Path,
        *,
        version: str | None = None,
        split: str | None = None,
        form: str = "parquet",
        project: str = DEFAULT_PROJECT,
    ) -> list[Path]:
        """Write a version into the new folder `to`, whole or not at all; the files that are there then."""
        if to.exists():
            raise Rejected(f"{to} is there already; name a folder that is not, or remove it", field="to")
        asked = {"project": project, "version": version, "split": split, "form": form}
        path = f"/api/v1/datasets/{name}/export"
        given = {word: value for word, value in asked.items() if value is not None}
        unfinished = to.absolute().with_name(f".{to.name}.{secrets.token_hex(6)}")
        unfinished.mkdir(parents=True)
        try:
            with files.room(f"the rows in {to}"):
                _unpack(self._wire.pieces(path, given), unfinished)
            os.rename(unfinished, to)
            files.sync_folder(to.absolute().parent)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return sorted(to.iterdir())

    def erase(
        self, name: str, where: str, *, dry_run: bool = False, project: str = DEFAULT_PROJECT
    ) -> dict[str, Any]:
        """Have the rows that an expression is true of be in no version any more; which those are, and what descends
        from them. With `dry_run` nothing is changed."""
        body = {"where": where, "dry_run": dry_run}
        path = f"/api/v1/datasets/{name}/erase"
        answer = self._wire.ask_once("POST", path, params={"project": project}, json=body)
        if answer.is_error:
            raise error_of(answer)[0]
        return dict(answer.json())

    def _get(self, name: str, what: str, project: str, **query: Any) -> Any:
        asked = {word: value for word, value in {"project": project, **query}.items() if value is not None}
        return self._wire.ask("GET", f"/api/v1/datasets/{name}/{what}", params=asked, timeout=None).json()


def _unpack(pieces: Iterator[bytes], into: Path) -> None:
    """The files of a tar, each durable; raises Broken unless all of them have come."""
    came: list[str] = []
    try:
        with tarfile.open(fileobj=cast(BinaryIO, _Stream(pieces)), mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member) if _FILE.fullmatch(member.name) else None
                if content is None:
                    raise Broken(f"the hall sent a file that is none of a data set: {member.name!r}")
                with (into / member.name).open("xb") as file:
                    shutil.copyfileobj(content, file)
                    file.flush()
                    os.fsync(file.fileno())
                came.append(member.name)
    except tarfile.TarError as error:
        raise Broken(f"what the hall sent breaks off: {error}") from None
    if came[-1:] != [LAST]:
        raise Broken(f"what the hall sent breaks off after {len(came)} files; export it again")
    files.sync_folder(into)


class _Stream:
    """Pieces as something to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int) -> bytes:
        while len(self._held) < size and (piece := next(self._pieces, b"")):
            self._held += piece
        taken, self._held = self._held[:size], self._held[size:]
        return taken
