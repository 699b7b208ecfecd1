"""Takes the gateway's usage journals into the book: every request once, wherever either of them was killed.

A journal is a folder of files `usage-START.jsonl` whose names sort by age; the gateway writes it and says how
(`gateway/journal.py`). Only the newest file grows, and a line, the JSON of one `Usage`, is complete when it ends
in a newline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from modelhall.core.ports.book import Book, Usage

PATTERN = "usage-*.jsonl"
CHUNK_BYTES = 2**20
"""Read at once; also the longest line there can be."""
MOST_S = 1e10
"""No instant and no duration is larger; a line that says so is damaged."""
DAMAGED = "journal/damaged"
"""The mark that counts the lines ever skipped."""

_USAGE = TypeAdapter(Usage)


@dataclass(frozen=True, kw_only=True)
class Ingested:
    requests: int = 0
    damaged: int = 0
    """Lines that could not be read and were skipped."""


async def ingest(
    folder: Path, book: Book, heard: Callable[[Sequence[Usage]], None] = lambda usage: None
) -> Ingested:
    """Enter all complete lines not entered before; remove files that are read to the end and will not grow.
    `heard` is told of what was entered.

    How far a file was read is a mark, moved in the transaction that enters what was read.
    """
    # The list is made first: what a newer file in it follows was complete before its reading began.
    paths = sorted(folder.glob(PATTERN))
    done = [await _ingest_file(path, book, is_over=path != paths[-1], heard=heard) for path in paths]
    for path in paths[:-1]:
        path.unlink(missing_ok=True)
    return Ingested(requests=sum(one.requests for one in done), damaged=sum(one.damaged for one in done))


async def _ingest_file(
    path: Path, book: Book, *, is_over: bool, heard: Callable[[Sequence[Usage]], None]
) -> Ingested:
    mark = f"journal/{path.name}"
    requests = damaged = 0
    while True:
        marks = await book.marks([mark, DAMAGED])
        offset = int(marks.get(mark, 0))
        chunk = await asyncio.to_thread(_read, path, offset, is_over)
        if chunk.end == offset:
            return Ingested(requests=requests, damaged=damaged)
        requests += len(chunk.usage)
        damaged += chunk.damaged
        moved = {mark: float(chunk.end), DAMAGED: marks.get(DAMAGED, 0.0) + chunk.damaged}
        await book.append(usage=chunk.usage, marks=moved)
        heard(chunk.usage)


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    usage: list[Usage]
    damaged: int
    end: int
    """Offset of the first byte not read."""


def _read(path: Path, offset: int, is_over: bool) -> _Chunk:
    """The complete lines from `offset`, as many as fit; of a file that is over, the torn last one as well."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(CHUNK_BYTES)
    end = data.rfind(b"\n") + 1
    if end == 0 and (is_over or len(data) == CHUNK_BYTES):
        end = len(data)
    lines = [line for line in data[:end].split(b"\n") if line.strip()]
    parsed = [_parse(line) for line in lines]
    usage = [seen for seen in parsed if seen is not None]
    return _Chunk(usage=usage, damaged=len(lines) - len(usage), end=offset + end)


def _parse(line: bytes) -> Usage | None:
    """The usage a line tells of, or None when it is damaged. Fields a newer gateway adds are passed over."""
    try:
        usage = _USAGE.validate_json(line)
    except ValidationError:
        return None
    return usage if _is_in_range(usage) else None


def _is_in_range(usage: Usage) -> bool:
    counts = (
        usage.status, usage.tries, usage.bytes_in, usage.bytes_out, usage.tokens_in or 0, usage.tokens_out or 0,
        usage.tokens_cached or 0,
    )  # fmt: skip
    seconds = (usage.weight, usage.duration_s, usage.at, usage.first_token_s or 0.0)
    if not 0 <= usage.charge_nano < 2**62:
        return False
    return all(0 <= count < 2**53 for count in counts) and all(0 <= value <= MOST_S for value in seconds)
