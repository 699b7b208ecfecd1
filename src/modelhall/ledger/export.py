"""A bill as a file of comma-separated values, in one of the forms there are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from modelhall.ledger import focus, sheet


class Form(StrEnum):
    csv = "csv"
    """For a spreadsheet."""
    focus = "focus"
    """FOCUS 1.0, for tools of FinOps."""


def exported(bill: Mapping[str, Any], form: Form, *, hall: str, project: str | None, now: float) -> str:
    """The text of the file. `hall` says whose account it is on, `project` whose bill it is, if it is of one."""
    match form:
        case Form.csv:
            return _written(sheet.COLUMNS, sheet.rows(bill))
        case Form.focus:
            return _written(focus.COLUMNS, focus.rows(bill, hall=hall, project=project, now=now))


def _written(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
