"""What the doors notice about who knocks, told to the watchman (`app/watchman.py`), summed up where there is much.

The control plane's own door tells in memory. The gateway is another process, so it writes to a journal, which the
control plane reads: files `signals-NUMBER.jsonl` whose names sort by age, a line of JSON for each signal, complete
when it ends in a newline. Only the newest file grows. `read.json` says how far the reader has come.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from modelhall.core import files

Kind = Literal["unknown", "known", "refused", "canary", "broken-chain"]
"""unknown: a credential that nobody has; known: somebody came in from an address; refused: somebody asked for what is
another project's; canary: a token came that was only issued to be found; broken-chain: the audit log was changed."""

MOST_AT_ONCE = 200
"""Signals that are told one by one between two reports; the rest of a kind is told in one."""
ROTATE_BYTES = 2**20
FILES_KEPT = 4
"""So that nobody can fill the disk while no control plane reads."""
PATTERN = "signals-*.jsonl"
MARK = "read.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """Something a door noticed, `count` times."""

    kind: Kind
    at: float
    place: str = ""
    """Where it came from: an address, or the network that counts as one; empty in the sum of many."""
    who: str = ""
    """The identity, where it is known."""
    project: str = ""
    """The project that was asked for in vain."""
    count: int = 1


_SIGNAL = TypeAdapter(Signal)


class Summary:
    """Signals that wait to be told; what is alike is counted, and there is a bound on what is kept apart."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self._waiting: dict[tuple[str, ...], Signal] = {}

    def note(self, signal: Signal) -> None:
        """Take a signal down. Nothing is waited for, so that it can be done while somebody is being answered."""
        key: tuple[str, ...] = (signal.kind, signal.place, signal.who, signal.project)
        if key not in self._waiting and len(self._waiting) >= self._most:
            key = (signal.kind,)
            signal = replace(signal, place="", who="", project="")
        known = self._waiting.get(key)
        self._waiting[key] = signal if known is None else replace(signal, count=known.count + signal.count)

    def take(self) -> list[Signal]:
        """All that wait, which are then not waiting any more."""
        waiting, self._waiting = self._waiting, {}
        return list(waiting.values())


class Journal:
    """Appends signals to the newest file of a folder; the one writer there."""

    def __init__(self, folder: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._path = self._begin()

    def write(self, signals: Iterable[Signal]) -> None:
        """Append signals, and come back when they are on the disk. Raises OSError."""
        lines = b"".join(json.dumps(asdict(signal)).encode() + b"\n" for signal in signals)
        if self._path.exists() and self._path.stat().st_size >= self._rotate_bytes:
            self._path = self._begin()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, lines)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        files.sync_folder(self._folder)

    def _begin(self) -> Path:
        """A file that sorts behind all others; the oldest go when there are too many."""
        there = sorted(self._folder.glob(PATTERN))
        for path in there[: 1 - FILES_KEPT]:
            path.unlink(missing_ok=True)
        newest = int(there[-1].stem.removeprefix("signals-")) if there else 0
        return self._folder / f"signals-{newest + 1:012d}.jsonl"


class Reader:
    """Reads what a journal holds, every signal once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark: dict[str, object] = files.read_json(folder / MARK) or {}

    def read(self) -> list[Signal]:
        """The signals that were not read before. Killed before `done`, a reader gives them once more."""
        found: list[Signal] = []
        paths = sorted(self._folder.glob(PATTERN))
        for path in paths:
            if path.name < str(self._mark.get("file", "")):
                path.unlink(missing_ok=True)
                continue
            found += self._read_file(path)
        return found

    def done(self) -> None:
        """What was read has been acted upon: remember how far that is."""
        files.write_json(self._folder / MARK, self._mark)

    def _read_file(self, path: Path) -> list[Signal]:
        offset = int(str(self._mark.get("offset", 0))) if self._mark.get("file") == path.name else 0
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(ROTATE_BYTES * 2)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._mark = {"file": path.name, "offset": offset + end}
        parsed = map(_parse, data[:end].splitlines())
        return [signal for signal in parsed if signal is not None]


def _parse(line: bytes) -> Signal | None:
    """A line as a signal, or None when it is damaged, which a power cut may do to the last one."""
    try:
        return _SIGNAL.validate_json(line)
    except ValidationError:
        return None
