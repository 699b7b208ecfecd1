"""Damaged rows: pictures and sounds that cannot be unpacked. They are named, and left out as far as the data set
allows. What is in a table that could not be read is no row, and refused by the formats."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare._media import sort_of

try:
    import soundfile
except ImportError:  # the extra `audio`
    soundfile = None

_RIFF = b"RIFF"
_NOT_KNOWN = 2**32 - 1
_EXAMPLES = 5
_BLOCK_FRAMES = 65_536

Check = Callable[[bytes | None], bool]


class Damage:
    """Counts the damaged rows of one data set, batch after batch."""

    def __init__(self, *, max_damaged: float, threads: int) -> None:
        self._max_damaged = max_damaged
        self._threads = threads
        self._checks: dict[str, Check] | None = None
        self._names: list[str] = []
        self._rows = self._damaged = 0

    def of(self, rows: pl.DataFrame, split: str = "all") -> pl.Series:
        """A Boolean for each row of the next batch: whether it is damaged. The first batch tells which columns hold
        pictures or sounds."""
        if self._checks is None:
            self._checks = _checks(rows)
        damaged = [False] * rows.height
        with ThreadPoolExecutor(self._threads) as pool:
            for column, is_sound in self._checks.items():
                sound = pool.map(is_sound, rows[column])
                damaged = [was or not is_ for was, is_ in zip(damaged, sound, strict=True)]
        found = pl.Series("damaged", damaged, dtype=pl.Boolean)
        self._remember(rows, found, split)
        self._rows += rows.height
        return found

    def check(self) -> None:
        """Raise Rejected if, now that all rows were seen, more of them are damaged than the data set allows."""
        if self._rows and self._damaged / self._rows > self._max_damaged:
            raise Rejected(
                f"{self._damaged} of {self._rows} pictures or sounds are damaged, more than the share of "
                f"{self._max_damaged:g} that `max_damaged` allows: {', '.join(self._names)}",
                field="max_damaged",
            )

    def _remember(self, rows: pl.DataFrame, damaged: pl.Series, split: str) -> None:
        self._damaged += int(damaged.sum())
        for place in damaged.arg_true().head(_EXAMPLES - len(self._names)):
            named = rows["path"][place] if "path" in rows.columns else None
            self._names.append(str(named) if named else f"row {self._rows + place} of {split}")


def _checks(rows: pl.DataFrame) -> dict[str, Check]:
    """Column → how to tell that a value of it is sound, for those in which most values begin as such do."""
    found: dict[str, Check] = {}
    for column in (name for name, kind in rows.schema.items() if kind == pl.Binary):
        sort = sort_of(rows[column])
        if sort is not None:
            found[column] = _is_picture if sort == "picture" else _is_sound
    return found


def _is_picture(data: bytes | None) -> bool:
    # The tasks bring torch, seconds and hundreds of megabytes that data without pictures has no use for.
    from modelhall.tasks._pictures import open_picture

    try:
        open_picture(data, "a picture", field="source")
    except Rejected:
        return False
    return True


def _is_cut_off(data: bytes) -> bool:
    """Whether a RIFF file is shorter than it says; the library plays what there is."""
    said = int.from_bytes(data[4:8], "little")
    # Programs that write to a pipe cannot go back to say how much it was.
    return data.startswith(_RIFF) and said != _NOT_KNOWN and said + 8 > len(data)


def _is_sound(data: bytes | None) -> bool:
    """Whether all of it can be unpacked, and it is as long as it says."""
    if soundfile is None or data is None or _is_cut_off(data):
        return soundfile is None and data is not None
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            read = sum(len(block) for block in file.blocks(_BLOCK_FRAMES, dtype="int16"))
            return 0 < read == int(file.frames)
    except (soundfile.SoundFileError, ValueError):
        return False
