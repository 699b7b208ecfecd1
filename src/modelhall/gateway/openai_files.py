"""Files and batches of the OpenAI API: what callers put here, and many requests in one file, answered in time.

A caller sees what is his project's. Batches are run by `batches.py`; where things are kept is the `Shelf`'s.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from modelhall.core import strict_json
from modelhall.core.access import Identity
from modelhall.core.errors import Denied, NotFound, Rejected, TooMany
from modelhall.gateway import multipart
from modelhall.gateway.batches import ENDPOINTS, OVER, Batches
from modelhall.gateway.messages import Request, Response, as_json
from modelhall.gateway.shelf import Note, Shelf

MOST_FILES = 1000
"""Of one project."""
MOST_BATCHES = 100
"""Of one project that are not over."""
MOST_WORDS = 512
"""Characters of one value of a batch's metadata."""
PURPOSES = ("batch", "batch_output", "user_data")
_FILE_FIELDS = ("id", "object", "bytes", "created_at", "filename", "purpose", "status")
_NOT_SHOWN = ("project", "content", "parts", "who", "done", "failed_parts")
_ID = r"(?:file|batch)-[0-9a-z-]{1,80}"
_PATH = re.compile(rf"/v1/(?P<sort>files|batches)(?:/(?P<id>{_ID})(?:/(?P<verb>content|cancel))?)?")
_WORDS = {"files": "file", "batches": "batch"}
Answer = Response | dict[str, Any]


class Files:
    """Answers `/v1/files…` and `/v1/batches…` for somebody who has shown who he is."""

    def __init__(self, shelf: Shelf, batches: Batches, now: Callable[[], float]) -> None:
        self._shelf = shelf
        self._batches = batches
        self._now = now
        self._does = {
            ("POST", "files", False, None): self._keep,
            ("GET", "files", False, None): self._look_at_all,
            ("GET", "files", True, None): self._look,
            ("GET", "files", True, "content"): self._content,
            ("DELETE", "files", True, None): self._remove,
            ("POST", "batches", False, None): self._begin,
            ("GET", "batches", False, None): self._look_at_all,
            ("GET", "batches", True, None): self._look,
            ("POST", "batches", True, "cancel"): self._cancel,
        }

    async def answer(self, request: Request, who: Identity) -> Response:
        """Answer a caller; raises HallError."""
        match = _PATH.fullmatch(request.path.decode("latin-1"))
        if match is None:
            raise NotFound("there is nothing at this path; try /v1/files or /v1/batches")
        if not who.may("use", who.project):
            raise Denied("files and batches are for those who may use services of their project")
        sort, id, verb = match["sort"], match["id"], match["verb"]
        does = self._does.get((request.method.decode(), sort, id is not None, verb))
        if does is None:
            raise Rejected(f"this path does not take {request.method.decode()}", status=405)
        return as_json(done) if isinstance(done := await does(request, who, sort, id or ""), dict) else done

    async def _look(self, request: Request, who: Identity, sort: str, id: str) -> Answer:
        return shown(await self._found(who, sort, id))

    async def _look_at_all(self, request: Request, who: Identity, sort: str, id: str) -> Answer:
        notes = await asyncio.to_thread(self._shelf.notes, _WORDS[sort], who.project)
        return {"object": "list", "data": [shown(note) for note in reversed(notes)], "has_more": False}

    async def _content(self, request: Request, who: Identity, sort: str, id: str) -> Answer:
        note = await self._found(who, sort, id)
        data = await asyncio.to_thread(self._shelf.read, who.project, note["content"])
        return Response(status=200, headers=((b"content-type", b"application/jsonl"),), body=data)

    async def _remove(self, request: Request, who: Identity, sort: str, id: str) -> Answer:
        await self._found(who, sort, id)
        await asyncio.to_thread(self._shelf.remove, who.project, id)
        return {"id": id, "object": "file", "deleted": True}

    async def _cancel(self, request: Request, who: Identity, sort: str, id: str) -> Answer:
        return shown(await self._batches.cancel(await self._found(who, sort, id)))

    async def _keep(self, request: Request, who: Identity, sort: str, id: str) -> Answer:
        body = await request.read()
        parts = multipart.read(body, request.headers.get(b"content-type", b""))
        purpose, file = parts.get("purpose"), parts.get("file")
        if purpose is None or purpose.content.decode("latin-1") not in PURPOSES:
            raise Rejected(f"a file has a purpose: {', '.join(PURPOSES)}", field="purpose")
        if file is None or not file.content:
            raise Rejected("a file has a part `file` that is not empty", field="file")
        await self._check_room(who, sort, MOST_FILES)
        note = {
            "id": f"file-{request.id}", "project": who.project, "object": "file", "bytes": len(file.content),
            "created_at": int(self._now()), "filename": file.filename or "file",
            "purpose": purpose.content.decode("latin-1"), "status": "processed",
            "content": await asyncio.to_thread(self._shelf.put, who.project, file.content),
        }  # fmt: skip
        await asyncio.to_thread(self._shelf.write_down, note)
        return shown(note)

    async def _begin(self, request: Request, who: Identity, sort: str, id: str) -> Answer:
        asked = strict_json.loads(await request.read())
        if not isinstance(asked, dict):
            raise Rejected("the body is a JSON object")
        given, endpoint = asked.get("input_file_id"), asked.get("endpoint")
        if endpoint not in ENDPOINTS:
            raise Rejected(f"a batch is of one endpoint: {', '.join(ENDPOINTS)}", field="endpoint")
        if asked.get("completion_window", "24h") != "24h":
            raise Rejected("the only completion_window is 24h", field="completion_window")
        file = await self._found(who, "files", given if isinstance(given, str) else "", field="input_file_id")
        await self._check_room(who, sort, MOST_BATCHES)
        note = await self._batches.begin(
            f"batch-{request.id}", who, file, str(endpoint), _metadata(asked.get("metadata"))
        )
        return shown(note)

    async def _found(self, who: Identity, sort: str, id: str, *, field: str | None = None) -> Note:
        word = _WORDS[sort]
        note = await asyncio.to_thread(self._shelf.note, who.project, id) if id.startswith(word) else None
        if note is None:
            raise NotFound(f"there is no {word} {id[:90]!r} in project {who.project!r}", field=field)
        return note

    async def _check_room(self, who: Identity, sort: str, most: int) -> None:
        """Raise TooMany when the project has all it may have; batches that are over do not count."""
        notes = await asyncio.to_thread(self._shelf.notes, _WORDS[sort], who.project)
        if sum(note["status"] not in OVER or sort == "files" for note in notes) >= most:
            raise TooMany(f"project {who.project!r} has {most} {sort} already", delay_s=60)


def shown(note: Mapping[str, Any]) -> dict[str, Any]:
    """A note as its project's callers see it."""
    if note["object"] == "file":
        return {name: note[name] for name in _FILE_FIELDS}
    return {name: value for name, value in note.items() if name not in _NOT_SHOWN}


def _metadata(given: Any) -> dict[str, str]:
    """What a caller says of a batch for himself; raises Rejected."""
    if given is None:
        return {}
    short = isinstance(given, dict) and len(given) <= 16 and all(
        isinstance(value, str) and len(name) <= 64 and len(value) <= MOST_WORDS for name, value in given.items()
    )  # fmt: skip
    if not short:
        raise Rejected(f"metadata is up to 16 words of up to {MOST_WORDS} characters", field="metadata")
    return dict(given)
