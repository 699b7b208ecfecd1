"""Batches: the requests of a file, each answered as if somebody had sent it, a few at a time, over days if need be.

A part of the lines is asked, its answers are kept, and then it is written down how far the batch has come. Killed
anywhere, it goes on from there when the gateway is up again: at most one part is asked twice, and in the results
every line is there once. What an answer costs is accounted for like any other's.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelhall.core import strict_json
from modelhall.core.access import Identity
from modelhall.core.errors import HallError, Rejected
from modelhall.gateway.shelf import Note, Shelf

log = logging.getLogger(__name__)

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
OVER = ("completed", "failed", "cancelled")
AT_ONCE = 2
"""So few, that those who wait for their answers hardly notice."""
LINES_A_PART = 32
MOST_LINES = 50_000
MOST_TRIES = 50
LONGEST_WAIT_S = 30.0
LATER = (429, 502, 503, 504)
LONGEST_NAME = 256


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came of one request."""

    request: str
    """Its id."""
    status: int
    body: bytes
    retry_after_s: float = 1.0


Ask = Callable[[str, bytes, Identity], Awaitable[Answered]]
"""Path, body, on whose behalf → the answer, accounted for."""


@dataclass(frozen=True, kw_only=True)
class _Line:
    custom_id: str
    body: bytes


class Batches:
    """Runs all batches there are, one after the other, oldest first."""

    def __init__(self, shelf: Shelf, ask: Ask, now: Callable[[], float]) -> None:
        self._shelf = shelf
        self._ask = ask
        self._now = now
        self._come = asyncio.Event()
        self._cancelled: set[str] = set()

    async def begin(
        self, id: str, who: Identity, file: Note, endpoint: str, metadata: Mapping[str, str]
    ) -> Note:
        """Take on a batch; what is wrong with its lines is found out later."""
        note = {
            "id": id, "project": who.project, "object": "batch", "endpoint": endpoint, "errors": None,
            "input_file_id": file["id"], "completion_window": "24h", "status": "validating", "output_file_id": None,
            "error_file_id": None, "created_at": int(self._now()), "in_progress_at": None, "completed_at": None,
            "failed_at": None, "cancelled_at": None, "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": dict(metadata), "who": who.name, "token": who.token, "done": 0, "parts": [],
            "failed_parts": [],
        }  # fmt: skip
        await asyncio.to_thread(self._shelf.write_down, note)
        self._come.set()
        return note

    async def cancel(self, note: Note) -> Note:
        """End a batch after the part it is at; what is answered stays."""
        if note["status"] in OVER:
            raise Rejected(f"batch {note['id']} is {note['status']} already", status=409)
        self._cancelled.add(note["id"])
        return {**note, "status": "cancelling"}

    async def run(self) -> None:
        """Run them until cancelled."""
        while True:
            self._come.clear()
            notes = await asyncio.to_thread(self._shelf.notes, "batch")
            waiting = next((note for note in notes if note["status"] not in OVER), None)
            if waiting is None:
                await self._come.wait()
                continue
            try:
                await self._run(waiting)
            except HallError as error:
                await self._fail(waiting, str(error))
            except Exception:
                log.exception("batch.broken batch=%s", waiting["id"])
                await self._fail(waiting, "the gateway failed over it; its log says why")

    async def _run(self, note: Note) -> None:
        lines = await asyncio.to_thread(self._lines, note)
        counts = {**note["request_counts"], "total": len(lines)}
        begun = note["in_progress_at"] or int(self._now())
        note = await self._wrote(
            {**note, "status": "in_progress", "in_progress_at": begun, "request_counts": counts}
        )
        # He may do in its project what he may do there himself, and nothing elsewhere, whatever he may there.
        who = Identity(
            name=f"{note['id']} of {note['who']}", project=note["project"], token=note.get("token", ""),
            grants={note["project"]: frozenset({"use"})},
        )  # fmt: skip
        while note["done"] < len(lines) and note["id"] not in self._cancelled:
            note = await self._next_part(note, lines, who)
        await self._finish(note)

    def _lines(self, note: Note) -> list[_Line]:
        """The requests of a batch; raises Rejected, which names the line that is none."""
        file = self._shelf.note(note["project"], note["input_file_id"])
        if file is None:
            raise Rejected(f"its file {note['input_file_id']} was deleted")
        rows = self._shelf.read(note["project"], file["content"]).splitlines()
        numbered = [(number, row) for number, row in enumerate(rows, 1) if row.strip()]
        if not 0 < len(numbered) <= MOST_LINES:
            raise Rejected(f"a batch has from 1 to {MOST_LINES} lines, not {len(numbered)}")
        lines = [_line(row, number, note["endpoint"]) for number, row in numbered]
        if len({line.custom_id for line in lines}) < len(lines):
            raise Rejected("a custom_id is there twice")
        return lines

    async def _next_part(self, note: Note, lines: Sequence[_Line], who: Identity) -> Note:
        part = lines[note["done"] : note["done"] + LINES_A_PART]
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(line: _Line) -> Answered:
            async with turn:
                return await self._patiently(note["endpoint"], line.body, who)

        answers = list(zip(part, await asyncio.gather(*map(one, part)), strict=True))
        good = [_told(line, answer) for line, answer in answers if answer.status < 400]
        bad = [_told(line, answer) for line, answer in answers if answer.status >= 400]
        kept = {}
        for name, told in (("parts", good), ("failed_parts", bad)):
            more = [await self._put(note, told)] if told else []
            kept[name] = [*note[name], *more]
        counts = note["request_counts"]
        counts = {
            **counts,
            "completed": counts["completed"] + len(good),
            "failed": counts["failed"] + len(bad),
        }
        return await self._wrote({**note, **kept, "done": note["done"] + len(part), "request_counts": counts})

    async def _patiently(self, path: str, body: bytes, who: Identity) -> Answered:
        """Ask again while it is said that it may help."""
        for _ in range(MOST_TRIES - 1):
            answer = await self._ask(path, body, who)
            if answer.status not in LATER:
                return answer
            await asyncio.sleep(min(answer.retry_after_s, LONGEST_WAIT_S))
        return await self._ask(path, body, who)

    async def _finish(self, note: Note) -> None:
        """Put the parts together to files; the parts are let go of."""
        ended = "cancelled" if note["done"] < note["request_counts"]["total"] else "completed"
        made = {}
        for field, name, word in (
            ("output_file_id", "parts", "output"),
            ("error_file_id", "failed_parts", "error"),
        ):
            if note[name]:
                made[field] = await self._file_of(note, note[name], word)
        over = {
            **note,
            **made,
            "status": ended,
            f"{ended}_at": int(self._now()),
            "parts": [],
            "failed_parts": [],
        }
        await self._wrote(over)
        self._cancelled.discard(note["id"])

    async def _file_of(self, note: Note, parts: Sequence[str], word: str) -> str:
        pieces = [await asyncio.to_thread(self._shelf.read, note["project"], part) for part in parts]
        content = b"".join(pieces)
        # Of the batch's own name, so that one who was killed here makes the same file again, and no second one.
        id = f"file-{note['id']}-{word}"
        file = {
            "id": id, "project": note["project"], "object": "file", "bytes": len(content), "status": "processed",
            "created_at": int(self._now()), "filename": f"{note['id']}-{word}.jsonl", "purpose": "batch_output",
            "content": await asyncio.to_thread(self._shelf.put, note["project"], content),
        }  # fmt: skip
        await self._wrote(file)
        return id

    async def _fail(self, note: Note, why: str) -> None:
        errors = {
            "object": "list",
            "data": [{"code": "invalid_batch", "message": why, "line": None, "param": None}],
        }
        await self._wrote({**note, "status": "failed", "failed_at": int(self._now()), "errors": errors})

    async def _put(self, note: Note, told: Sequence[Mapping[str, Any]]) -> str:
        content = b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in told)
        return await asyncio.to_thread(self._shelf.put, note["project"], content)

    async def _wrote(self, note: Note) -> Note:
        await asyncio.to_thread(self._shelf.write_down, note)
        return note


def _line(row: bytes, number: int, endpoint: str) -> _Line:
    try:
        asked = strict_json.loads(row)
    except Rejected as error:
        raise Rejected(f"line {number}: {error.message}") from None
    named = asked.get("custom_id") if isinstance(asked, dict) else None
    if not isinstance(named, str) or not 0 < len(named) <= LONGEST_NAME:
        raise Rejected(f"line {number} has no custom_id of up to {LONGEST_NAME} characters")
    if (asked.get("method"), asked.get("url")) != ("POST", endpoint) or not isinstance(
        asked.get("body"), dict
    ):
        raise Rejected(f"line {number} is no POST to {endpoint} with a body")
    if asked["body"].get("stream"):
        raise Rejected(f"line {number} asks for a stream, which nobody would listen to")
    return _Line(custom_id=named, body=json.dumps(asked["body"]).encode())


def _told(line: _Line, answer: Answered) -> dict[str, Any]:
    """An answer as a line of a result."""
    response = {"status_code": answer.status, "request_id": answer.request, "body": json.loads(answer.body)}
    return {
        "id": f"batch_req_{answer.request}",
        "custom_id": line.custom_id,
        "response": response,
        "error": None,
    }
