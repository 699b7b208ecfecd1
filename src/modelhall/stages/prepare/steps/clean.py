"""Clean text: HTML, Unicode forms, Chinese script, invisible characters, white space, empty rows.

- clean: {strip_html: true, unicode: nfkc, drop_empty: true, columns: [text]}
"""

from __future__ import annotations

import html
from functools import cache
from typing import Any, Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, check_columns

_UNSEEN = r"(?is)<!--.*?-->|<(?:script|style)\b.*?</(?:script|style)\s*>"
_TAG = r"</?[a-zA-Z][^<>]*>"
_INVISIBLE = r"[\p{Cc}\u{ad}\u{200b}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2060}-\u{2064}\u{feff}--[\t\n\r]]"
"""Control and zero-width characters, marks of direction; tabs and line ends are white space, and the joiners of
Persian, Indic scripts and emoji carry meaning."""


def apply(
    rows: pl.DataFrame,
    *,
    strip_html: bool = False,
    unicode: Literal["nfc", "nfkc"] | None = None,
    invisible: bool = True,
    chinese: Literal["t2s", "s2t"] | None = None,
    whitespace: bool = True,
    drop_empty: bool = False,
    columns: list[str] | None = None,
) -> Done:
    """Clean `columns`, by default all that hold text.

    `strip_html` removes tags, comments, scripts and styles and resolves entities; `unicode` brings characters
    into one form; `invisible` removes control and zero-width characters; `chinese` writes traditional characters
    simplified (t2s) or the other way round, by OpenCC; `whitespace` makes every run of white space one blank and
    trims; `drop_empty` then drops rows in which one of the columns is empty.
    """
    check_columns(rows, columns or [])
    text = [name for name in columns or rows.columns if rows.schema[name] == pl.String]
    cleaned = rows.with_columns(_clean(pl.col(name), strip_html, unicode, invisible) for name in text)
    if chinese is not None:
        cleaned = cleaned.with_columns(_converted(cleaned[name], chinese) for name in text)
    if whitespace:
        cleaned = cleaned.with_columns(
            pl.col(name).str.replace_all(r"\s+", " ").str.strip_chars() for name in text
        )
    if not drop_empty or not (columns or text):
        return Done(rows=cleaned)
    empty = pl.any_horizontal(
        pl.col(name).is_null() | (pl.col(name) == "" if name in text else pl.lit(False))
        for name in columns or text
    )
    return Done(rows=cleaned, drop={"empty": cleaned.select(empty=empty).to_series()})


def _clean(
    column: pl.Expr, strip_html: bool, unicode: Literal["nfc", "nfkc"] | None, invisible: bool
) -> pl.Expr:
    if strip_html:
        column = column.str.replace_all(_UNSEEN, " ").str.replace_all(_TAG, " ")
        has_entity = column.str.contains("&", literal=True)
        column = pl.when(has_entity).then(column.map_elements(html.unescape, pl.String)).otherwise(column)
    if unicode == "nfc":
        column = column.str.normalize("NFC")
    if unicode == "nfkc":
        column = column.str.normalize("NFKC")
    return column.str.replace_all(_INVISIBLE, "") if invisible else column


def _converted(column: pl.Series, way: Literal["t2s", "s2t"]) -> pl.Series:
    convert = _converter(way).convert
    return pl.Series(column.name, [None if text is None else convert(text) for text in column], pl.String)


@cache
def _converter(way: str) -> Any:
    try:
        import opencc  # needed by this option alone
    except ImportError:
        raise Rejected(
            "OpenCC is not installed here; `pip install 'modelhall[data]'` brings it", field="chinese"
        ) from None
    return opencc.OpenCC(way)
