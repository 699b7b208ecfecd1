"""What `hall get --watch` shows: what there is, then a line for each change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from modelhall.core.kinds import AnyResource
from modelhall.core.ports.store import Change
from modelhall.doors.cli import tables
from modelhall.doors.cli.terminal import Form, coloured, escaped, out, show

GAP = "  "
LIKELY = {"name": "train-1234abcd", "state": "succeeded"}
"""What may yet come: columns are made wide enough for it, since they cannot be changed later."""


def follow(kind: str, found: Sequence[AnyResource], changes: Iterable[Change], form: Form) -> None:
    """Show `found`, then `changes` as they come."""
    if form is not Form.table:
        there = (Change(revision=one.revision, key=one.key, resource=one) for one in found)
        for change in chain(there, changes):
            if form is Form.yaml:
                out.print("---")
            show(form, _data(change))
            out.file.flush()
        return
    columns, rows = tables.rows_of(kind, found)
    widths = [
        max(map(_width, (*column, LIKELY.get(column[0], "")))) for column in zip(columns, *rows, strict=True)
    ]
    _line(widths, columns, style="bold")
    for row in rows:
        _line(widths, row)
    for change in changes:
        _line(widths, _row(kind, change))
        out.file.flush()


def _row(kind: str, change: Change) -> Sequence[str]:
    if change.resource is None:
        return change.key.name, coloured("removed")
    return tables.rows_of(kind, [change.resource])[1][0]


def _line(widths: Sequence[int], cells: Sequence[str], style: str = "") -> None:
    padded = zip(cells, widths, strict=False)
    parts = [escaped(cell) + " " * (width - _width(cell)) for cell, width in padded]
    out.print(GAP.join(parts).rstrip(), style=style, soft_wrap=True)


def _width(cell: str) -> int:
    return cell_len(Text.from_markup(escaped(cell)).plain)


def _data(change: Change) -> dict[str, Any]:
    """A change for programs."""
    what = "removed" if change.resource is None else "changed"
    resource = None if change.resource is None else tables.as_data(change.resource)
    return {"event": what, **change.key._asdict(), "revision": change.revision, "resource": resource}
