"""From the votes of rules to a label and how sure it is: what is known of each rule, and of each row by it.

`majority`: the label with the most votes. `accuracy`: a vote, and that there is none, count by how often the rule
votes on rows of each label (Dawid and Skene 1979, whose observers may also abstain; every rule here has one label to
vote for). That is counted where the true label of some rows is known; where it is of none, expectation and
maximisation find it from which rules vote together, beginning with the majority. What EM finds are labels if the
rules err independently of each other; words of one text often do not, and then the majority is better.

Rows are looked at by their pattern of votes: their number costs nothing, and their order changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from modelhall.stages.prepare.steps._labels import ABSTAINS

GOLD = "gold"
"""The column of marks that holds the true labels, where some are known."""
_ROUNDS = 500
_SETTLED = 1e-9
_UNSEEN = 1.0
"""Rows of each label on which a rule is believed to vote and not to vote before any is seen."""
_TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """The different votes of the rows on which any rule votes, in a fixed order."""

    voted: np.ndarray
    """int (patterns, rules)."""
    gold: np.ndarray
    """The true label, ABSTAINS where it is not known."""
    rows: np.ndarray
    """How many rows there are of each, float64."""


def patterns(marks: Iterable[pl.DataFrame]) -> Patterns:
    """Of votes, and of GOLD where the marks have it."""
    found = pl.concat([votes.group_by(pl.all()).len("rows") for votes in marks])
    names = [name for name in found.columns if name != "rows"]
    counted = found.group_by(names).agg(pl.col("rows").sum()).sort(names)
    voted = counted.select(pl.exclude("rows", GOLD)).to_numpy()
    some = (voted != ABSTAINS).any(axis=1)
    gold = counted[GOLD].to_numpy() if GOLD in names else np.full(len(voted), ABSTAINS)
    return Patterns(
        voted=voted[some], gold=gold[some], rows=counted["rows"].to_numpy()[some].astype(np.float64)
    )


def habits(seen: Patterns, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """The share of each label, float64 (labels,), and how often each rule votes on rows of it, (rules, labels), among
    the rows on which any does."""
    known = seen.gold != ABSTAINS
    if known.any():
        true = np.eye(labels)[seen.gold[known]]
        return _counted(seen.voted[known], true * seen.rows[known, None])
    likely = shares(seen.voted, labels)
    for _ in range(_ROUNDS):
        balance, votes = _counted(seen.voted, likely * seen.rows[:, None])
        before, likely = likely, posterior(seen.voted, balance, votes)
        if not len(likely) or np.abs(likely - before).max() < _SETTLED:
            break
    return balance, votes


def posterior(voted: np.ndarray, balance: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """How probable each label is, float64 (rows, labels), for rows on which any rule votes."""
    there = (voted != ABSTAINS).astype(np.float64)
    told = np.log(balance) + there @ np.log(votes) + (1 - there) @ np.log1p(-votes)
    likely = np.exp(told - told.max(axis=1, keepdims=True))
    found: np.ndarray = likely / likely.sum(axis=1, keepdims=True)
    return found


def _counted(voted: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`habits` of rows that are of each label to so much, (rows, labels)."""
    of_label = weights.sum(axis=0)
    there = (voted != ABSTAINS).astype(np.float64)
    votes = (there.T @ weights + _UNSEEN) / (of_label + 2 * _UNSEEN)
    balance = (of_label + _UNSEEN) / (of_label.sum() + len(of_label) * _UNSEEN)
    return balance, votes


def shares(voted: np.ndarray, labels: int) -> np.ndarray:
    """The share of the votes that each label has, float64 (rows, labels); zeros where nobody votes."""
    counts = np.stack([(voted == label).sum(axis=1) for label in range(labels)], axis=1).astype(np.float64)
    told: np.ndarray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return told


def chosen(likely: np.ndarray, voted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The label of each row, ABSTAINS where nobody votes or two labels are as likely; and how sure it is."""
    best = likely.argmax(axis=1)
    sure = likely[np.arange(len(likely)), best]
    tied = (likely >= sure[:, None] - _TIE).sum(axis=1) > 1
    nobody = (voted == ABSTAINS).all(axis=1)
    return np.where(tied | nobody, ABSTAINS, best), sure


def counts(
    names: Sequence[str], voted: np.ndarray, label: np.ndarray, gold: np.ndarray | None
) -> dict[str, dict[str, int]]:
    """Of each rule: on how many rows it votes (coverage), others do as well (overlaps), one of them for another label
    (conflicts), the label is its own (agrees), and the gold label is known, and is its own."""
    there = voted != ABSTAINS
    several = there.sum(axis=1) > 1
    low = np.where(there, voted, np.iinfo(voted.dtype).max).min(axis=1)
    conflict = several & (low != voted.max(axis=1))
    found = {}
    for place, name in enumerate(names):
        votes = there[:, place]
        told = {
            "votes": votes,
            "overlaps": votes & several,
            "conflicts": votes & conflict,
            "agrees": votes & (voted[:, place] == label),
        }
        if gold is not None:
            told |= {
                "gold": votes & (gold != ABSTAINS),
                "gold_right": votes & (gold == voted[:, place]),
            }
        found[name] = {what: int(rows.sum()) for what, rows in told.items()}
    return found
