"""Labels without a person: by rules that vote.

- label: {rules: [{label: good, words: [good, fine]}, {label: bad, match: "number 1"}], into: verdict, gold: label}
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import polars as pl

from modelhall.stages.prepare.steps import Done, Marks, _labels, _rules, check_columns
from modelhall.stages.prepare.steps import _label_model as model
from modelhall.stages.prepare.steps._labels import ABSTAINS

REQUESTS = False
ALL = "all rules"


def mark(
    rows: pl.DataFrame, *, rules: list[dict[str, Any]], column: str = "text", gold: str | None = None
) -> pl.DataFrame:
    """The votes of every rule, and the true label where it is known."""
    read = _rules.read(rules, column)
    votes = _rules.votes(rows, read)
    if gold is None:
        return votes
    check_columns(rows, [gold], "gold")
    return votes.with_columns(
        pl.Series(model.GOLD, _labels.places(rows[gold], _rules.labels(read)), pl.Int16)
    )


def fit(
    train: Marks,
    *,
    rules: list[dict[str, Any]],
    column: str = "text",
    vote: Literal["majority", "accuracy"] = "majority",
) -> dict[str, Any]:
    """What is known of the rules, from their votes on the training split: see `_label_model`.

    `vote` says how votes become one label: by majority, or by how often each rule votes on rows of each label, which
    the rows with a `gold` label tell or, without any, Dawid and Skene's model (1979) by EM.
    """
    read = _rules.read(rules, column)
    labels = _rules.labels(read)
    fitted: dict[str, Any] = {"labels": labels, "rules": [rule.name for rule in read]}
    if vote == "accuracy":
        balance, votes = model.habits(model.patterns(train), len(labels))
        fitted |= {"balance": balance.tolist(), "votes": votes.tolist()}
    return fitted


def apply(
    rows: pl.DataFrame,
    fitted: dict[str, Any],
    *,
    rules: list[dict[str, Any]],
    column: str = "text",
    into: str = "label",
    confidence: str | None = None,
    min_confidence: float = 0.0,
    unsure: Literal["drop", "empty"] = "drop",
    gold: str | None = None,
) -> Done:
    """Add the column `into`, and `confidence`, if named, with how probable the label is (by majority: its share of
    the votes).

    A row for which no rule votes, two labels are as probable, or the label is less so than `min_confidence`, is
    dropped, or with `unsure: empty` has none. `gold` names a column with true labels of some rows, against which
    rules and labels are counted; what is counted stands in dataset.json, by split.
    """
    read = _rules.read(rules, column)
    _labels.check_names(rows, (into, confidence), gold)
    labels = fitted["labels"]
    voted = _rules.votes(rows, read).to_numpy()
    likely = (
        model.posterior(voted, np.array(fitted["balance"]), np.array(fitted["votes"]))
        if "votes" in fitted
        else model.shares(voted, len(labels))
    )
    best, sure = model.chosen(likely, voted)
    label = np.where(sure < min_confidence, ABSTAINS, best)
    truth = _labels.places(rows[gold], labels) if gold else None
    drop = {
        "no rule votes": (voted == ABSTAINS).all(axis=1),
        "two labels are as probable": best == ABSTAINS,
        f"less sure than {min_confidence:g}": label == ABSTAINS,
    }
    added = [pl.Series(into, [None if place < 0 else labels[place] for place in label], _kind(labels))]
    if confidence is not None:
        added.append(pl.Series(confidence, sure).set(pl.Series(label == ABSTAINS), None))
    return Done(
        rows=rows.with_columns(added),
        drop={reason: pl.Series(found) for reason, found in drop.items()} if unsure == "drop" else {},
        counts={ALL: _labels.agreement(label, truth), **model.counts(fitted["rules"], voted, label, truth)},
    )


def _kind(labels: list[Any]) -> Any:
    return {str: pl.String, bool: pl.Boolean, int: pl.Int64}[type(labels[0])]
