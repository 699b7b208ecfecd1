"""Drop texts that are too short or long, in another language, repetitive, or of low quality.

- filter: {column: text, min_words: 2, max_symbols: 0.3, without: "(?i)lorem ipsum"}
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, text_columns
from modelhall.stages.prepare.steps._quality import LANGUAGES, gopher, lines, repetition, script, word_counts

REQUESTS = False


def apply(
    rows: pl.DataFrame,
    *,
    column: str = "text",
    min_chars: int | None = None,
    max_chars: int | None = None,
    min_words: int | None = None,
    max_words: int | None = None,
    language: Literal["en", "zh", "ja", "ko", "ru"] | None = None,
    max_symbols: float | None = None,
    max_repeated: float | None = None,
    rules: Literal["gopher", "c4"] | None = None,
    match: str | None = None,
    without: str | None = None,
) -> Done:
    """Drop rows by what is in `column`; a text that is null is dropped as empty.

    A word is a run of letters and digits, or one Chinese character. `language` goes by the script, and English by
    its commonest words; `max_symbols` is the largest share of characters that are neither letters nor digits nor
    blanks; `max_repeated` that of words in word 5-grams which the text has had before; `match` and `without` are
    regular expressions that must and must not be found. `rules: gopher` are those on documents of Rae et al. 2021,
    appendix A.1.1 (50 to 100,000 words of 3 to 10 characters in the mean, few hashes, ellipses and bullets, letters
    in 80 % of words, two of the commonest words); `rules: c4` those of Raffel et al. 2020 on whole documents (three
    lines or more that end as sentences do, no lorem ipsum, no curly bracket, no JavaScript notice).
    """
    text_columns(rows, [column], "column")
    texts = rows[column]
    drop: dict[str, pl.Series] = {"empty": texts.is_null()}
    chars = texts.str.len_chars()
    drop |= _outside(chars, "characters", min_chars, max_chars)
    if min_words is not None or max_words is not None:
        drop |= _outside(pl.Series(word_counts(texts)), "words", min_words, max_words)
    if max_symbols is not None:
        symbols = texts.str.count_matches(r"[^\p{L}\p{N}\s]")
        drop[f"more than {max_symbols:g} symbols"] = symbols > max_symbols * chars
    if language is not None:
        drop[f"not {LANGUAGES[language]}"] = ~script(texts, language)
    if max_repeated is not None:
        drop[f"more than {max_repeated:g} repeated"] = pl.Series(repetition(texts) > max_repeated)
    if rules is not None:
        drop |= gopher(texts) if rules == "gopher" else lines(texts)
    for option, pattern in {"match": match, "without": without}.items():
        if pattern is not None:
            found = _found(texts, pattern, option)
            drop[f"{option} {pattern}"] = ~found if option == "match" else found
    return Done(rows=rows, drop=drop)


def _outside(counted: pl.Series, what: str, least: int | None, most: int | None) -> dict[str, pl.Series]:
    """By the bound, whether a text is beyond it."""
    drop = {}
    if least is not None:
        drop[f"fewer than {least:,} {what}"] = counted < least
    if most is not None:
        drop[f"more than {most:,} {what}"] = counted > most
    return drop


def _found(texts: pl.Series, pattern: str, option: str) -> pl.Series:
    try:
        return texts.str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        raise Rejected(f"{pattern!r} is no regular expression: {error}", field=option) from None
