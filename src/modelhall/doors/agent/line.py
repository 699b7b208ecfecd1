"""How an agent calls its hall: beats, and files that come and go, each a request of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import BinaryIO

from pydantic import TypeAdapter

from modelhall.core.errors import NotFound
from modelhall.core.node_line import Beat, Errands
from modelhall.doors.wire import Wire

CHUNK_BYTES = 1 << 20
FILE = {"content-type": "application/octet-stream"}
LONGEST_S = 3600.0
"""For the hall to take in one file, however large."""
ANSWERS_WITHIN_S = 10.0
"""What a hall may take to answer a beat that it no longer holds. What a cut line has lost nobody waits for longer."""
_NAMES = TypeAdapter(list[str])


class Line:
    """Requests of one node. Those that move files are made from threads."""

    def __init__(self, wire: Wire, node: str, *, answers_within_s: float = ANSWERS_WITHIN_S) -> None:
        self._wire = wire
        self._at = f"/api/v1/nodes/{node}"
        self._answers_within_s = answers_within_s

    async def beat(self, beat: Beat) -> Errands:
        """Raises NotNow while the hall cannot be reached, Denied when it does not know this node any more."""
        answer = await asyncio.to_thread(
            self._wire.ask, "POST", f"{self._at}/beat",
            content=beat.model_dump_json(), headers={"content-type": "application/json"},
            timeout=beat.hold_s + self._answers_within_s,
        )  # fmt: skip
        return Errands.model_validate_json(answer.content)

    def objects(self, project: str, digest: str) -> list[str]:
        """The names of the objects of a content, in the order in which they are to be put."""
        asked = {"project": project, "digest": digest}
        return _NAMES.validate_json(self._wire.ask("GET", f"{self._at}/blobs", params=asked).content)

    def has(self, project: str, digest: str) -> bool:
        """Whether the hall has a content."""
        try:
            return bool(self.objects(project, digest))
        except NotFound:
            return False

    def fetch(self, project: str, name: str) -> Iterator[bytes]:
        """One object."""
        return self._wire.pieces(f"{self._at}/object", {"project": project, "object": name})

    def bring(self, project: str, name: str, file: BinaryIO) -> None:
        """One object."""
        self._put("object", {"project": project, "object": name}, file)

    def states(self, of: dict[str, str]) -> list[str]:
        """The paths of the files of a run's state; `of` names project, run and attempt."""
        answer = self._wire.ask("GET", f"{self._at}/state", params=of)
        return [one["path"] for one in answer.json()]

    def fetch_state(self, of: dict[str, str], path: str) -> Iterator[bytes]:
        return self._wire.pieces(f"{self._at}/state/file", {**of, "path": path})

    def bring_state(self, of: dict[str, str], path: str, file: BinaryIO) -> None:
        self._put("state/file", {**of, "path": path}, file)

    def remove_state(self, of: dict[str, str], path: str) -> None:
        self._wire.ask("DELETE", f"{self._at}/state/file", params={**of, "path": path})

    def _put(self, where: str, params: dict[str, str], file: BinaryIO) -> None:
        pieces = iter(lambda: file.read(CHUNK_BYTES), b"")
        self._wire.ask(
            "PUT", f"{self._at}/{where}", params=params, content=pieces, headers=FILE, timeout=LONGEST_S
        )  # fmt: skip
