"""Clean text: HTML, Unicode forms, white space, empty rows.

- clean: {strip_html: true, unicode: nfkc, drop_empty: true, columns: [review]}
"""

from __future__ import annotations

import html
from typing import Literal

import polars as pl

from modelhall.stages.prepare.steps import Done, Splits, check_columns

_UNSEEN = r"(?is)<!--.*?-->|<(?:script|style)\b.*?</(?:script|style)\s*>"
_TAG = r"</?[a-zA-Z][^<>]*>"


def apply(
    splits: Splits,
    *,
    strip_html: bool = False,
    unicode: Literal["nfc", "nfkc"] | None = None,
    whitespace: bool = True,
    drop_empty: bool = False,
    columns: list[str] | None = None,
) -> Done:
    """Clean `columns`, by default all that hold text.

    `strip_html` removes tags, comments, scripts and styles and resolves entities; `unicode` brings characters
    into one form; `whitespace` makes every run of white space one blank and trims; `drop_empty` then drops rows
    in which one of the columns is empty.
    """
    check_columns(splits, columns or [])
    cleaned, dropped = {}, []
    for split, frame in splits.items():
        text = [name for name in columns or frame.columns if frame.schema[name] == pl.String]
        frame = frame.with_columns(_clean(pl.col(name), strip_html, unicode, whitespace) for name in text)
        empty = pl.any_horizontal(
            pl.col(name).is_null() | (pl.col(name) == "" if name in text else pl.lit(False))
            for name in columns or text
        )
        if drop_empty and (columns or text):
            dropped.append(frame.filter(empty))
            frame = frame.filter(~empty)
        cleaned[split] = frame
    rows = pl.concat(dropped) if dropped else pl.DataFrame()
    return Done(splits=cleaned, dropped={"empty": rows} if rows.height else {})


def _clean(
    column: pl.Expr, strip_html: bool, unicode: Literal["nfc", "nfkc"] | None, whitespace: bool
) -> pl.Expr:
    if strip_html:
        column = column.str.replace_all(_UNSEEN, " ").str.replace_all(_TAG, " ")
        has_entity = column.str.contains("&", literal=True)
        column = pl.when(has_entity).then(column.map_elements(html.unescape, pl.String)).otherwise(column)
    if unicode == "nfc":
        column = column.str.normalize("NFC")
    if unicode == "nfkc":
        column = column.str.normalize("NFKC")
    return column.str.replace_all(r"\s+", " ").str.strip_chars() if whitespace else column
