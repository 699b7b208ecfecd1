"""Labelling functions as rules of a hall file: each votes for its label or abstains, row by row.

    {label: bad, words: [dirty, noisy]}     one of these words, whatever its case; Chinese ones anywhere
    {label: bad, match: "never again"}      a regular expression
    {label: bad, when: stars < 3}           an expression, as `derive` has them

What becomes of the votes is left to `_label_model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.stages.prepare.steps import text_columns
from modelhall.stages.prepare.steps._expressions import expression
from modelhall.stages.prepare.steps._labels import ABSTAINS

_WAYS = ("words", "match", "when")
_FIELDS = ("label", *_WAYS, "name", "column")
_LETTERS_APART = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One labelling function."""

    name: str
    label: str | int | bool
    way: str
    """words, match or when."""
    given: Any
    """The words, the regular expression, or the expression."""
    column: str


def read(rules: Sequence[dict[str, Any]], column: str) -> list[Rule]:
    """The rules as they are written; raises Rejected for one that cannot be read."""
    found: list[Rule] = []
    for place, written in enumerate(rules):
        field = f"rules.{place}"
        unknown = next((name for name in written if name not in _FIELDS), None)
        if unknown is not None:
            raise Rejected(
                f"a rule has no {unknown!r}; {did_you_mean(unknown, _FIELDS)}", field=f"{field}.{unknown}"
            )
        ways = [way for way in _WAYS if way in written]
        if len(ways) != 1 or not isinstance(written.get("label"), (str, int)):
            raise Rejected(
                "a rule has a `label` (text, a whole number, true or false) and one of `words`, `match` and `when`, "
                f"not {', '.join(written) or 'nothing'}",
                field=field,
            )
        (way,) = ways
        name = str(written.get("name", place + 1))
        found.append(
            Rule(
                name=name,
                label=written["label"],
                way=way,
                given=written[way],
                column=written.get("column", column),
            )
        )
    _check_names_and_labels(found)
    return found


def labels(rules: Sequence[Rule]) -> list[Any]:
    """The labels there are, sorted; a vote is a place in this list."""
    return sorted({rule.label for rule in rules})


def votes(rows: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """A column a rule: the place of its label where it votes, ABSTAINS elsewhere; a null says nothing."""
    places = {label: place for place, label in enumerate(labels(rules))}
    found = {}
    for place, rule in enumerate(rules):
        hit = _hits(rows, rule, f"rules.{place}.{rule.way}").fill_null(False)
        found[str(place)] = pl.select(
            pl.when(hit).then(places[rule.label]).otherwise(ABSTAINS).cast(pl.Int16)
        ).to_series()
    return pl.DataFrame(found)


def _check_names_and_labels(rules: Sequence[Rule]) -> None:
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Rejected(f"two rules are called {twice!r}", field="rules")
    kinds = sorted({type(rule.label).__name__ for rule in rules})
    if len(kinds) > 1 or len({rule.label for rule in rules}) < 2:
        raise Rejected(
            f"the rules need labels of one type, and two of them at least; there are {', '.join(kinds) or 'none'}",
            field="rules",
        )


def _hits(rows: pl.DataFrame, rule: Rule, field: str) -> pl.Series:
    """A Boolean for each row: whether the rule votes."""
    try:
        if rule.way == "when":
            return rows.select(expression(str(rule.given), rows.columns).cast(pl.Boolean)).to_series()
        text_columns(rows, [rule.column], "column")
        pattern = str(rule.given) if rule.way == "match" else _any_of(rule.given)
        return rows[rule.column].str.contains(pattern)
    except Rejected as error:
        raise Rejected(error.message, field=error.field or field) from None
    except pl.exceptions.PolarsError as error:
        raise Rejected(f"{rule.given!r} does not work on these rows: {error}", field=field) from None


def _any_of(words: Any) -> str:
    """A regular expression that finds one of the words; those of letters that stand alone need no bounds."""
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise Rejected(f"`words` is a list of words, not {words!r}")
    bounded = [
        rf"(?:\b|{_LETTERS_APART}){pl.escape_regex(word)}(?:\b|{_LETTERS_APART})"
        if word.isascii()
        else pl.escape_regex(word)
        for word in words
    ]
    return "(?i)" + "|".join(bounded)
