"""Preparation steps: one file each. Its functions say what it must see of the rows; they come in three forms.

A step that needs no other row to change a row:

    apply(rows, *, options…) -> Done

A step that is fitted (means, vocabularies). `fit` sees the rows of the training split alone, shard by shard, and
returns JSON, which is kept with the version; replicas give it to the same `apply`, with the rows of a request:

    fit(train, *, options…) -> fitted
    apply(rows, fitted, *, options…) -> Done

A step that decides about rows by looking at all of them (duplicates, splits, order). `decide` sees every row's
marks, column by column, and says what becomes of each row; requests go without such steps:

    mark(rows, *, options…) -> marks
    decide(marks, *, options…) -> Verdict

A step that changes rows while a model learns from them, each time otherwise, and never when they are prepared. Its
`apply` only checks them; the trainer gives `vary` the rows of a batch, and for each a random source of its own:

    apply(rows, *, options…) -> Done
    vary(rows, randoms, *, options…) -> rows

`mix(random, count, *, options…)` may stand beside it: the share that each of `count` rows keeps of itself, and the
place of the row that the rest is taken from; or None.

`mark` may also stand beside `fit`, which then sees marks instead of rows: all that is slow belongs there, since
shards are marked side by side. The options of a step are the keyword-only parameters of all its functions, and each
gets those it names. Annotate them with plain JSON types, which are checked before the hall starts anything. A step
works the same on the same rows anywhere and however they are cut into shards of their own: randomness comes from a
`seed`. Options that cannot be met are Rejected with the option's name as `field`. A step that requests must not go
through although it has `apply` says `REQUESTS = False`.

An option annotated `File` or `Rows` names a source: what is given for it in a hall file is a path or a URL as in
`source`, and what the step is given is the path of a copy of that file, or of its rows for `_other_rows`. With
`Rows`, the step takes an option `format`, and has `for_requests(rows, *, options…)`, which says how much of them a
replica gets. With `Model`, what is given is `model://NAME`, and the step the path of a folder for `_other_model`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean

File = str
"""The path of a file."""
Rows = str
"""Where rows lie."""
Model = str
"""The path of a model's folder."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What `apply` made of some rows."""

    rows: pl.DataFrame
    """Every row that came in, also those to be dropped: a request's are answered all the same."""
    drop: Mapping[str, pl.Series] = field(default_factory=dict)
    """By the reason, a Boolean for each row; the first reason that holds is the one counted."""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What else the step counted, by what it is about; added up over the shards of each split for dataset.json."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What `decide` says of all rows, in the order they stand in."""

    drop: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By the reason, a Boolean for each row."""
    split: pl.Series | None = None
    """The split each row goes to."""
    take: Mapping[str, np.ndarray] | None = None
    """For each split the numbers of the rows it is to hold, in their new order; a row may come several times."""


class Marks:
    """The marks of all rows, in order: shard after shard, and within a shard split after split. They lie on the disk;
    a column is read when it is asked for."""

    def __init__(self, parts: Iterable[tuple[str, pl.LazyFrame]]) -> None:
        self._parts = tuple(parts)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return (part.collect() for _, part in self._parts)

    def column(self, name: str) -> pl.Series:
        """One column of every row's marks."""
        return pl.concat([part.select(name).collect() for _, part in self._parts]).to_series()

    def values(self, name: str, rows: np.ndarray) -> np.ndarray:
        """What stands in one column of some rows, in their order; no more than a part is read at a time."""
        order = np.argsort(rows, kind="stable")
        found, start, taken = [], 0, 0
        for _, part in self._parts:
            height = part.select(pl.len()).collect().item()
            last = int(np.searchsorted(rows[order], start + height))
            if last > taken:
                column = part.select(name).collect().to_series()
                found.append(column[rows[order[taken:last]] - start].to_numpy())
            start, taken = start + height, last
        values = np.concatenate(found) if found else np.zeros(0)
        back = np.empty_like(values)
        back[order] = values
        return back

    @property
    def names(self) -> list[str]:
        """What the columns are called."""
        return next((part.collect_schema().names() for _, part in self._parts), [])

    @property
    def splits(self) -> list[str]:
        """The names of the splits there are; `all` alone before the rows are split."""
        return list(dict.fromkeys(split for split, _ in self._parts))

    def split_of_rows(self) -> np.ndarray:
        """For each row the place of its split in `splits`."""
        heights = [part.select(pl.len()).collect().item() for _, part in self._parts]
        places = [self.splits.index(split) for split, _ in self._parts]
        return np.repeat(np.array(places, np.int8), heights)


def check_columns(rows: pl.DataFrame, columns: Sequence[str], option: str = "columns") -> None:
    """Raise Rejected unless there are all of `columns`."""
    for column in columns:
        if column not in rows.columns:
            raise Rejected(f"no column {column!r}; {did_you_mean(column, rows.columns)}", field=option)


def text_columns(rows: pl.DataFrame, columns: Sequence[str] | None, option: str = "columns") -> list[str]:
    """`columns`, or all that hold text; raises Rejected for one that does not."""
    check_columns(rows, columns or [], option)
    for column in columns or []:
        if rows.schema[column] not in (pl.String, pl.Null):
            raise Rejected(f"column {column!r} holds {rows.schema[column]}, not text", field=option)
    return list(columns or [name for name, kind in rows.schema.items() if kind == pl.String])


def number_columns(rows: pl.DataFrame, columns: Sequence[str], option: str = "columns") -> list[str]:
    """`columns`; raises Rejected for one that does not hold numbers."""
    check_columns(rows, columns, option)
    for column in columns:
        if not (rows.schema[column].is_numeric() or rows.schema[column] in (pl.Boolean, pl.Null)):
            raise Rejected(f"column {column!r} holds {rows.schema[column]}, not numbers", field=option)
    return list(columns)
