"""The frames in a history's file, at three levels: as read, by the minute, by the hour. Used by one thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from modelhall.adapters.history._folding import Folded, once, packed, together, unpacked
from modelhall.core.ports.history import Frame, Span

STEPS_S = (0.0, 60.0, 3600.0)
"""Of the levels; what was read has none."""
SHARES = (0.4, 0.4, 0.2)
"""Of the file, by level."""
ROW_BYTES = 32
"""About what a row takes besides its data."""
MOST_TENTHS = 20
"""Let go of in one transaction."""

K = TypeVar("K")
Values = dict[str, Folded]


class Frames:
    """What is in the file that `connection` has open, and what is known of it without looking."""

    def __init__(self, connection: sqlite3.Connection, size_bytes: int) -> None:
        self._connection = connection
        (page_bytes,) = self._one("PRAGMA page_size")
        self._most_pages = size_bytes // page_bytes
        self._load()

    def append(self, frames: Sequence[Frame]) -> None:
        """One transaction: the frames, the minutes and hours that are over by now, and room for them."""
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._catch_up()
                for frame in frames:
                    values = {name: once(value) for name, value in frame.values.items()}
                    self._put(0, self._subject(frame.subject), frame.at, values)
                now = max(frame.at for frame in frames)
                for level in (1, 2):
                    self._fold(level, now)
                for _ in range(MOST_TENTHS):
                    if self._used_pages() > self._most_pages:
                        self._let_go()
        except sqlite3.Error:
            # What is known may be of the transaction that was taken back.
            self._load()
            raise

    def read(self, subject: str, name: str, since: float, until: float, step_s: float) -> list[Span]:
        """The spans of a figure, from the level that goes with the step and from the others where it has none."""
        self._catch_up()
        id = self._subjects.get(subject)
        if id is None:
            return []
        level = max(level for level, least_s in enumerate(STEPS_S) if step_s >= least_s)
        steps: dict[float, list[Folded]] = {}
        for at, values in self._best(id, level, since, until):
            if name in values:
                steps.setdefault(at - (at - since) % step_s, []).append(values[name])
        folded = {at: together(parts) for at, parts in sorted(steps.items())}
        return [Span(at, one.mean, one.least, one.most) for at, one in folded.items()]

    def names(self, subject: str) -> list[str]:
        """The figures known of a subject."""
        self._catch_up()
        sql = "SELECT DISTINCT shape FROM frame WHERE subject = ? AND level IN (0, 1, 2)"
        shapes = self._all(sql, self._subjects.get(subject))
        return sorted({name for (shape,) in shapes for name in self._names[shape]})

    def subjects(self) -> list[str]:
        self._catch_up()
        return sorted(self._subjects)

    def _catch_up(self) -> None:
        """Know what another process has written, such as the control plane that led before this one."""
        if self._one("PRAGMA data_version") != self._version:
            self._load()

    def _load(self) -> None:
        self._version = self._one("PRAGMA data_version")
        self._subjects: dict[str, int] = dict(self._all("SELECT path, id FROM subject"))
        shapes = self._all("SELECT names, id FROM shape")
        self._shapes = {tuple(names.split("\n")): id for names, id in shapes}
        self._names = {id: names for names, id in self._shapes.items()}
        self._begun = {level: self._unfolded(level) for level in (1, 2)}

    def _unfolded(self, level: int) -> dict[int, float]:
        """For each subject, when the first step begins that has frames and is not folded into `level`."""
        step_s = STEPS_S[level]
        rows = self._all(
            "SELECT subject, min(at) FROM frame AS fine WHERE level = ? AND at >= coalesce("
            "(SELECT max(at) + ? FROM frame WHERE level = ? AND subject = fine.subject), at) GROUP BY subject",
            *(level - 1, step_s, level),
        )
        return {subject: at - at % step_s for subject, at in rows}

    def _best(self, subject: int, level: int, since: float, until: float) -> Iterator[tuple[float, Values]]:
        """What is known between two instants: at a level, before its beginning at the wider ones, and after its end,
        where it is not folded yet, at the finer ones."""
        begins, ends = self._extent(subject, level, since, until)
        if level + 1 < len(STEPS_S):
            yield from self._best_wider(subject, level + 1, since, begins)
        yield from self._frames(level, subject, begins, until)
        for finer in range(level - 1, -1, -1):
            yield from self._frames(finer, subject, ends, until)
            ends = self._extent(subject, finer, ends, until)[1]

    def _best_wider(
        self, subject: int, level: int, since: float, until: float
    ) -> Iterator[tuple[float, Values]]:
        begins, _ = self._extent(subject, level, since, until)
        if level + 1 < len(STEPS_S):
            yield from self._best_wider(subject, level + 1, since, begins)
        yield from self._frames(level, subject, begins, until)

    def _extent(self, subject: int, level: int, since: float, until: float) -> tuple[float, float]:
        """From when until when a level knows something; nothing is from `until` and until `since`."""
        sql = "SELECT min(at), max(at) FROM frame WHERE level = ? AND subject = ? AND at >= ? AND at < ?"
        first, last = self._one(sql, level, subject, since, until)
        # The next frame of what was read is later, be it by ever so little.
        return (until, since) if first is None else (first, last + (STEPS_S[level] or 1e-3))

    def _frames(self, level: int, subject: int, since: float, until: float) -> Iterator[tuple[float, Values]]:
        sql = (
            "SELECT at, shape, data FROM frame "
            "WHERE level = ? AND subject = ? AND at >= ? AND at < ? ORDER BY at"
        )
        for at, shape, data in self._all(sql, level, subject, since, until):
            yield at, dict(zip(self._names[shape], unpacked(data, is_reading=level == 0), strict=True))

    def _fold(self, level: int, now: float) -> None:
        """Fold every step that is over at `now` into `level`, from the level below."""
        step_s, begun = STEPS_S[level], self._begun[level]
        over = now - now % step_s
        for subject in [subject for subject, since in begun.items() if since < over]:
            steps: dict[float, list[Values]] = {}
            for at, values in self._frames(level - 1, subject, begun[subject], over):
                steps.setdefault(at - at % step_s, []).append(values)
            for at, parts in steps.items():
                names = {name for values in parts for name in values}
                self._put(level, subject, at, {n: together([v[n] for v in parts if n in v]) for n in names})
            sql = "SELECT min(at) FROM frame WHERE level = ? AND subject = ? AND at >= ?"
            (later,) = self._one(sql, level - 1, subject, over)
            del begun[subject]
            if later is not None:
                begun[subject] = later - later % step_s

    def _put(self, level: int, subject: int, at: float, values: Values) -> None:
        names = tuple(sorted(values))
        data = packed([values[name] for name in names], is_reading=level == 0)
        row = (level, subject, at, self._shape(names), data)
        self._connection.execute("INSERT OR REPLACE INTO frame VALUES (?, ?, ?, ?, ?)", row)
        if level + 1 < len(STEPS_S):
            # A clock that was set back has a step be folded once more, with what is new in it.
            begins = at - at % STEPS_S[level + 1]
            begun = self._begun[level + 1]
            begun[subject] = min(begins, begun.get(subject, begins))

    def _let_go(self) -> None:
        """Remove the oldest tenth of the level that is furthest above its share."""
        sizes = dict(self._all("SELECT level, sum(length(data) + ?) FROM frame GROUP BY level", ROW_BYTES))
        level = max(sizes, key=lambda one: sizes[one] / SHARES[one])
        self._connection.execute(
            "DELETE FROM frame WHERE level = ? AND at <= (SELECT at FROM frame WHERE level = ? ORDER BY at "
            "LIMIT 1 OFFSET (SELECT count(*) / 10 FROM frame WHERE level = ?))",
            (level, level, level),
        )
        # Runs come and go; of those that nothing is known of any more, not even the name is kept.
        self._connection.execute("DELETE FROM subject WHERE id NOT IN (SELECT subject FROM frame)")
        self._load()

    def _used_pages(self) -> int:
        (pages,), (free,) = self._one("PRAGMA page_count"), self._one("PRAGMA freelist_count")
        return int(pages - free)

    def _subject(self, path: str) -> int:
        return self._id(self._subjects, path, "subject (path)", path)

    def _shape(self, names: tuple[str, ...]) -> int:
        id = self._id(self._shapes, names, "shape (names)", "\n".join(names))
        self._names[id] = names
        return id

    def _id(self, known: dict[K, int], key: K, table: str, value: str) -> int:
        if key not in known:
            cursor = self._connection.execute(f"INSERT INTO {table} VALUES (?)", (value,))
            known[key] = int(cursor.lastrowid or 0)
        return known[key]

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: object) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._connection.execute(sql, values).fetchone()
        return found
