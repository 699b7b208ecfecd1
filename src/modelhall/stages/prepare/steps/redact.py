"""Put a word in the place of what identifies people or opens doors: addresses, numbers, keys.

- redact: {columns: [text], kinds: [email, phone]}
"""

from __future__ import annotations

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.stages.prepare.steps import Done, text_columns

_PATTERNS = {
    "key": (
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----"
        r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[0-9A-Za-z]{36,}\b|\b(?:sk|pk|rk)[-_][0-9A-Za-z_-]{20,}"
        r"|\bxox[abprs]-[0-9A-Za-z-]{10,}|\beyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}"
    ),
    "email": r"(?i)\b[0-9a-z][0-9a-z._%+-]{0,63}@[0-9a-z-]+(?:\.[0-9a-z-]+)*\.[a-z]{2,24}\b",
    # A Chinese identity number: region, a date, three digits and a check digit; a US social security number.
    "id": (
        r"\b[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[0-9Xx]\b"
        r"|\b\d{3}-\d{2}-\d{4}\b"
    ),
    "card": r"\b(?:\d{4}[ -]){3}\d{1,7}\b|\b(?:4\d{15}|5[1-5]\d{14}|62\d{14,17})\b",
    # Mobile numbers of China, fixed ones with their area, the North American form, and any that begin with a plus.
    "phone": (
        r"(?:\+?86[ -]?)?\b1[3-9]\d[ -]?\d{4}[ -]?\d{4}\b|\b0\d{2,3}-\d{7,8}\b"
        r"|(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\b\d{3}[ .-])\d{3}[ .-]\d{4}\b|\+\d{1,3}(?:[ .-]?\d{2,4}){2,5}\b"
    ),
    "address": r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
}
"""In the order they are looked for: an identity number holds what looks like a phone's."""


def apply(
    rows: pl.DataFrame,
    *,
    columns: list[str] | None = None,
    kinds: list[str] | None = None,
    by: str = "[{kind}]",
) -> Done:
    """In `columns`, by default all that hold text, put `by` in the place of what is found, such as `[email]`.

    `kinds` are email, phone (Chinese, North American, international), id (of Chinese citizens, US social security),
    card (bank cards), key (private keys and tokens of well-known forms) and address (IPv4); by default all of them.
    """
    for kind in kinds or []:
        if kind not in _PATTERNS:
            raise Rejected(f"{kind!r} cannot be found; {did_you_mean(kind, _PATTERNS)}", field="kinds")
    changed = rows
    for name in text_columns(rows, columns):
        column = pl.col(name)
        for kind, pattern in _PATTERNS.items():
            if kinds is None or kind in kinds:
                # A dollar sign would mean a group of the pattern.
                column = column.str.replace_all(pattern, by.replace("{kind}", kind).replace("$", "$$"))
        changed = changed.with_columns(column)
    return Done(rows=changed)
