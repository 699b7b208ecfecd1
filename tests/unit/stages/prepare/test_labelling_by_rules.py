"""Labels by rules that vote: what comes out, how good it is, and what the version tells of the rules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from modelhall.core import hallfile
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Dataset
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import _data, prepare
from modelhall.stages.prepare.steps import Marks, label
from modelhall.stages.prepare.steps._label_model import Patterns, chosen, patterns, posterior, shares
from modelhall.stages.prepare.steps._label_model import habits as habits_of
from modelhall.stages.prepare.steps._rules import ABSTAINS

RULES: list[dict[str, Any]] = [
    {"name": "praise", "label": "good", "words": ["lovely", "很好"]},
    {"name": "dirt", "label": "bad", "match": "(?i)dirt|filth"},
    {"name": "stars", "label": "good", "when": "stars >= 4"},
    {"name": "no stars", "label": "bad", "when": "stars <= 2"},
]
ROWS = [
    {"text": "A lovely house", "stars": 5, "truth": "good"},
    {"text": "lovelyish, and DIRTY", "stars": 1, "truth": "bad"},
    {"text": "房间很好", "stars": None, "truth": "good"},
    {"text": "lovely but filthy", "stars": 3, "truth": None},
    {"text": "nothing to say", "stars": 3, "truth": "bad"},
    {"text": None, "stars": 2, "truth": "good"},
]


def labelled(rows: pl.DataFrame, rules: list[dict[str, Any]] = RULES, **options: Any) -> Any:
    of_fit = {name: options[name] for name in ("vote",) if name in options}
    of_apply = {name: value for name, value in options.items() if name not in of_fit}
    marks = label.mark(rows, rules=rules, gold=options.get("gold"))
    fitted = label.fit(Marks([("train", marks.lazy())]), rules=rules, **of_fit)
    return label.apply(rows, json.loads(json.dumps(fitted)), rules=rules, **of_apply)


def table() -> pl.DataFrame:
    return pl.DataFrame(ROWS)


def test_the_majority_of_the_rules_that_vote_labels_a_row_and_a_tie_none() -> None:
    done = labelled(table(), vote="majority", unsure="empty")
    assert done.rows["label"].to_list() == ["good", "bad", "good", None, None, "bad"]
    assert done.drop == {}


def test_rows_without_a_label_are_dropped_with_the_reason() -> None:
    done = labelled(table(), vote="majority")
    found = {reason: marks.arg_true().to_list() for reason, marks in done.drop.items()}
    assert found["no rule votes"] == [4]
    assert found["two labels are as probable"] == [3, 4]


def test_coverage_overlap_conflict_and_agreement_of_each_rule_are_counted() -> None:
    counts = labelled(table(), vote="majority", gold="truth").counts
    assert counts["praise"] == {
        "votes": 3, "overlaps": 2, "conflicts": 1, "agrees": 2, "gold": 2, "gold_right": 2,
    }  # fmt: skip
    assert counts["no stars"] == {
        "votes": 2, "overlaps": 1, "conflicts": 0, "agrees": 2, "gold": 2, "gold_right": 1,
    }  # fmt: skip
    assert counts["all rules"] == {"rows": 6, "labelled": 4, "gold": 4, "gold_right": 3}


def voted(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes of independent rules for three labels, good ones and bad ones; the truth; and how often each rule votes
    on rows of each label."""
    random = np.random.default_rng(seed)
    truth = random.choice(3, rows, p=[0.5, 0.3, 0.2])
    votes = np.full((rows, 9), ABSTAINS, np.int16)
    habits = np.zeros((9, 3))
    for rule in range(9):
        habits[rule] = 0.05 if rule < 6 else 0.3
        habits[rule, rule % 3] = 0.5
        votes[random.random(rows) < habits[rule][truth], rule] = rule % 3
    some = (votes != ABSTAINS).any(axis=1)
    votes, truth = votes[some], truth[some]
    for label_ in range(3):
        habits[:, label_] = (votes[truth == label_] != ABSTAINS).mean(axis=0)
    return votes, truth, habits


def seen(votes: np.ndarray, gold: np.ndarray | None = None) -> Patterns:
    marks = pl.DataFrame({str(rule): votes[:, rule] for rule in range(votes.shape[1])})
    return patterns([marks if gold is None else marks.with_columns(pl.Series("gold", gold, pl.Int16))])


@pytest.mark.parametrize("known", [0, 2000])
@pytest.mark.parametrize("seed", range(3))
def test_what_rules_are_worth_is_found_with_some_true_labels_and_with_none(seed: int, known: int) -> None:
    votes, truth, habits = voted(seed, 8000)
    gold = np.where(np.arange(len(truth)) < known, truth, ABSTAINS)
    balance, found = habits_of(seen(votes, gold if known else None), 3)
    assert found == pytest.approx(habits, abs=0.1)
    assert balance == pytest.approx(np.bincount(truth) / len(truth), abs=0.06)
    by_worth, _ = chosen(posterior(votes, balance, found), votes)
    by_majority, _ = chosen(shares(votes, 3), votes)
    assert (by_worth == truth).mean() > (by_majority == truth).mean() + 0.05


def test_how_sure_a_label_is_says_how_often_it_is_right() -> None:
    votes, truth, _ = voted(7, 20_000)
    best, sure = chosen(posterior(votes, *habits_of(seen(votes), 3)), votes)
    for low, high in ((0.5, 0.7), (0.7, 0.9), (0.9, 1.0)):
        some = (sure >= low) & (sure < high) & (best != ABSTAINS)
        assert (best == truth)[some].mean() == pytest.approx(sure[some].mean(), abs=0.05)


def test_rows_below_the_threshold_are_dropped_or_left_empty_and_the_confidence_stands_beside() -> None:
    rows = pl.DataFrame({"text": ["x"] * 6, "n": [1, 2, 3, 4, 5, 6]})
    rules = [
        {"label": 1, "when": "n < 4"},
        {"label": 1, "when": "n < 3"},
        {"label": 1, "when": "n < 5 and n != 3"},
        {"label": 0, "when": "n > 3"},
    ]
    done = labelled(rows, rules, vote="majority", min_confidence=0.9, unsure="empty", confidence="sure")
    assert done.rows["label"].to_list() == [1, 1, 1, None, 0, 0]
    assert done.rows["sure"].to_list() == [1, 1, 1, None, 1, 1]
    dropped = labelled(rows, rules, vote="majority", min_confidence=0.9).drop["less sure than 0.9"]
    assert dropped.to_list() == [False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("rules", "field", "says"),
    [
        ([{"label": "a", "words": ["x"], "match": "y"}], "rules.0", "one of `words`, `match` and `when`"),
        ([{"lable": "a", "words": ["x"]}], "rules.0.lable", "did you mean 'label'"),
        ([{"label": "a", "words": ["x"]}], "rules", "two of them at least"),
        ([{"label": "a", "words": ["x"]}, {"label": 1, "words": ["y"]}], "rules", "one type"),
        ([{"label": "a", "match": "("}, {"label": "b", "match": "y"}], "rules.0.match", "does not work"),
        ([{"label": "a", "when": "size > 1"}, {"label": "b", "match": "y"}], "rules.0.when", "no column 'size'"),
        ([{"label": "a", "words": "x"}, {"label": "b", "match": "y"}], "rules.0.words", "a list of words"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_read_is_refused_by_its_place(
    rules: list[dict[str, Any]], field: str, says: str
) -> None:
    with pytest.raises(Rejected, match=says) as raised:
        label.mark(pl.DataFrame({"text": ["a"]}), rules=rules)
    assert raised.value.field == field


def test_a_column_that_is_there_is_not_written_over() -> None:
    with pytest.raises(Rejected, match="there is a column 'stars'"):
        labelled(table(), into="stars")


def test_the_version_tells_of_the_rules_by_split_however_the_rows_are_cut(
    order: Callable[..., Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps({**row, "id": n}) + "\n" for n, row in enumerate(ROWS * 40)))
    steps = [
        {"split": {"seed": 1, "train": 0.6, "validation": 0.2, "test": 0.2}},
        {"label": {"rules": RULES, "vote": "accuracy", "gold": "truth", "unsure": "empty"}},
    ]
    told = []
    for run, rows in (("whole", 65_536), ("cut", 50)):
        monkeypatch.setattr("modelhall.stages.prepare.shards.SHARD_ROWS", rows)
        made = order({"source": str(source), "format": {}, "prepare": steps, "max_damaged": 0.0}, run=run)
        with unpacked(made, prepare.carry_out(made, Reporter(made.work))["artifact"]) as folder:
            record = json.loads((folder / "dataset.json").read_text())["steps"][1]
            fitted = json.loads((folder / record["fitted"]).read_text())
            labels = pl.concat(_data.read(folder, split) for split in _data.splits(folder))["label"]
        told.append((record["counts"], fitted, labels.to_list()))
    assert told[0] == told[1]
    counts, fitted, _ = told[0]
    assert sum(split["all rules"]["rows"] for split in counts.values()) == 240
    assert sum(split["praise"]["votes"] for split in counts.values()) == 120
    assert np.shape(fitted["votes"]) == (len(RULES), 2)


def test_the_example_of_the_docs_page_labels_what_it_says(
    prepared: Callable[..., Any], tmp_path: Path
) -> None:
    page = (Path(__file__).parents[4] / "docs" / "data.md").read_text()
    (written,) = (text for text in re.findall(r"(?s)```yaml\n(.*?)```", page) if "labelled-reviews" in text)
    (declared,) = hallfile.parse(written, "data.md")
    assert isinstance(declared.document, Dataset)
    texts = ("a lovely place", "dirt in the bath", "nothing to say")
    rows = [
        {"id": n, "text": texts[n % 3], "size": n % 7, "label": ("good", "bad")[n % 2]} for n in range(90)
    ]
    (tmp_path / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = [step.model_dump() for step in declared.document.prepare]
    output, splits = prepared(source=str(tmp_path / "reviews.jsonl"), prepare=steps)
    assert output["steps"][1]["dropped"].keys() == {"no rule votes", "two labels are as probable"}
    for frame in splits.values():
        assert (frame["verdict"] == "good").to_list() == frame["text"].str.contains("lovely").to_list()
