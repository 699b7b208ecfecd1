"""What the steps on tables do to numbers and categories, and that they learn from the training split alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import (
    Marks,
    bucket,
    derive,
    encode,
    missing,
    normalize,
    outliers,
    sample,
    shuffle,
)

Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]
SIZES = pl.DataFrame({"size": [1.0, 2.0, 3.0, 4.0, None]})


def train(frame: pl.DataFrame) -> Marks:
    return Marks([("train", frame.lazy())])


@pytest.mark.parametrize(("fill", "value"), [("mean", 2.5), ("median", 2.5), ("mode", 1.0)])
def test_what_is_missing_is_filled_with_what_training_has(fill: Any, value: float) -> None:
    fitted = missing.fit(train(SIZES), columns=["size"], fill=fill)
    done = missing.apply(SIZES, fitted, fill=fill, indicator=True).rows
    assert done["size"].to_list() == [1, 2, 3, 4, value]
    assert done["size_missing"].to_list() == [False] * 4 + [True]


def test_rows_with_nothing_there_may_be_dropped_or_given_a_constant() -> None:
    fitted = missing.fit(train(SIZES), columns=["size"], fill="drop")
    assert missing.apply(SIZES, fitted, fill="drop").drop["size is missing"].to_list() == [False] * 4 + [True]
    fitted = missing.fit(train(SIZES), columns=["size"], fill="constant", value=-1.0)
    assert missing.apply(SIZES, fitted, fill="constant").rows["size"][4] == -1


def test_outliers_are_clipped_dropped_or_marked() -> None:
    frame = pl.DataFrame({"size": [*range(1, 21), 1000]})
    fitted = outliers.fit(train(frame), columns=["size"])
    assert outliers.apply(frame, fitted).rows["size"].max() == fitted["size"][1] < 40
    assert outliers.apply(frame, fitted, action="flag").rows["size_outlier"].sum() == 1
    assert outliers.apply(frame, fitted, action="drop").drop["size is an outlier"].arg_true().to_list() == [
        20
    ]


@pytest.mark.parametrize(
    ("to", "expected"),
    [("min-max", [0, 1 / 3, 2 / 3, 1, None]), ("robust", [-1, -1 / 3, 1 / 3, 1, None])],
)
def test_numbers_come_to_one_scale_and_what_is_missing_stays_so(to: Any, expected: list[Any]) -> None:
    fitted = normalize.fit(train(SIZES), columns=["size"], to=to)
    assert normalize.apply(SIZES, fitted, to=to).rows["size"].to_list() == pytest.approx(expected)


def test_the_standard_scale_has_mean_0_and_deviation_1() -> None:
    fitted = normalize.fit(train(SIZES), columns=["size"])
    scaled = normalize.apply(SIZES, fitted).rows["size"]
    assert scaled.mean() == pytest.approx(0)
    assert scaled.std(ddof=0) == pytest.approx(1)


def test_categories_become_numbers_and_unknown_ones_are_told_apart() -> None:
    seen = pl.DataFrame({"c": ["a", "b", "a", None]})
    new = pl.DataFrame({"c": ["b", "z", None]})
    ordinal = encode.fit(train(encode.mark(seen, columns=["c"])), columns=["c"], by="ordinal")
    assert encode.apply(new, ordinal, by="ordinal").rows["c"].to_list() == [1, -1, None]
    hot = encode.fit(train(encode.mark(seen, columns=["c"])), columns=["c"])
    assert encode.apply(new, hot).rows.rows() == [(0, 1), (0, 0), (0, 0)]
    share = encode.fit(train(encode.mark(seen, columns=["c"])), columns=["c"], by="frequency")
    assert encode.apply(new, share, by="frequency").rows["c"].to_list() == [pytest.approx(1 / 3), 0, None]
    hashed = encode.fit(train(seen), columns=["c"], by="hashing")
    assert encode.apply(new, hashed, by="hashing", size=8).rows["c"][1] in range(8)


def test_ranges_hold_as_many_rows_each_or_are_given() -> None:
    frame = pl.DataFrame({"n": range(100)})
    fitted = bucket.fit(train(frame), column="n", count=4)
    counted = bucket.apply(frame, fitted, column="n").rows["n"].value_counts()["count"]
    assert counted.to_list() == [25] * 4
    assert bucket.apply(frame, [10.0, 90.0], column="n", into="b").rows["b"].to_list()[9:11] == [0, 1]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("a * 2 + 1", 7),
        ("a ** 2 / b", 2.25),
        ("a > 1 and not b == 3", True),
        ("upper(t) + '!'", "HI!"),
        ("'big' if a >= 3 else 'small'", "big"),
        ("t in ['hi', 'ho']", True),
        ("0 < a < 3", False),
        ("length(concat(t, a))", 3),
        ("col('odd name') + 1", 6),
        ("-a % b", 1),
    ],
)
def test_new_columns_are_computed(written: str, value: Any) -> None:
    frame = pl.DataFrame({"a": [3], "b": [4], "t": ["hi"], "odd name": [5]})
    assert derive.apply(frame, columns={"new": written}).rows["new"].to_list() == [value]


@pytest.mark.parametrize(
    "written",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "(lambda: 1)()",
        "[x for x in a]",
        "open('/etc/passwd')",
        "f'{a}'",
        "no_such + 1",
        "a +",
        "-" * 1990 + "1",
        "(" * 500 + "1" + ")" * 500,
        "1+" * 990 + "1",
        "t in a",
        "sqrt(a, a, a)",
        "a := 3",
        "length(a)",
    ],
)
def test_an_expression_is_no_python(written: str) -> None:
    frame = pl.DataFrame({"a": [3], "t": ["hi"]})
    with pytest.raises(Rejected) as raised:
        derive.apply(frame, columns={"new": written})
    assert raised.value.field == "columns.new"


def test_a_sample_takes_no_row_twice_and_balancing_makes_values_equally_common() -> None:
    frame = pl.DataFrame({"label": ["a"] * 90 + ["b"] * 10})
    marks = Marks([("train", sample.mark(frame, balance="label").lazy())])
    taken = sample.decide(marks, rows=20, seed=1).take
    assert taken is not None
    assert len(set(taken["train"].tolist())) == 20
    for to, each in (("rarest", 10), ("commonest", 90)):
        balanced = sample.decide(marks, balance="label", to=to).take  # type: ignore[arg-type]
        assert balanced is not None
        assert frame[balanced["train"]]["label"].value_counts()["count"].to_list() == [each, each]


def test_shuffling_keeps_every_row_of_every_split(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(200)))
    steps = [{"split": {"seed": 1}}, {"shuffle": {"seed": 2}}]
    _, shuffled = prepared(source=f"{tmp_path}/rows.csv", prepare=steps)
    _, plain = prepared(source=f"{tmp_path}/rows.csv", prepare=steps[:1], attempt=2)
    for split, rows in plain.items():
        assert sorted(shuffled[split]["n"]) == sorted(rows["n"])
    assert shuffled["train"]["n"].to_list() != plain["train"]["n"].to_list()
    assert list(shuffle.decide(Marks([("all", rows.lazy())]), seed=1).take or {}) == ["all"]


def test_what_is_fitted_knows_nothing_of_validation_and_test(prepared: Prepared, tmp_path: Path) -> None:
    for split, numbers in (("train", range(10)), ("test", range(1000, 1010))):
        (tmp_path / f"{split}.csv").write_text("n\n" + "".join(f"{number}\n" for number in numbers))
    sources = {split: f"{tmp_path}/{split}.csv" for split in ("train", "test")}
    _, splits = prepared(source=sources, prepare=[{"normalize": {"columns": ["n"], "to": "min-max"}}])
    assert (splits["train"]["n"].min(), splits["train"]["n"].max()) == (0, 1)
    assert splits["test"]["n"].min() > 100


def test_a_step_that_is_fitted_does_not_come_before_the_split(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("n\n1\n2\n")
    with pytest.raises(Rejected, match="let it follow `split`") as raised:
        prepared(source=f"{tmp_path}/rows.csv", prepare=[{"normalize": {"columns": ["n"]}}, {"split": {}}])
    assert raised.value.field == "prepare.0.normalize"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unique": ["n"]}, "n comes twice in 2 of 4 rows"),
        ({"not_null": ["t"]}, "t is missing in 1 of 4 rows, such as 3"),
        ({"values": {"t": ["x", "y"]}}, "in 1 of 4 rows, such as 2"),
        ({"ranges": {"n": [0, 2]}}, "in 1 of 4 rows"),
        ({"matches": {"t": "^[xy]"}}, "in 1 of 4 rows"),
        ({"min_rows": 5}, "there are 4 rows, fewer than 5"),
    ],
)
def test_an_expectation_that_is_not_met_refuses_the_version(
    prepared: Prepared, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    (tmp_path / "rows.csv").write_text("n,t\n1,x\n1,y\n2,z\n3,\n")
    with pytest.raises(Rejected, match=says) as raised:
        prepared(source=f"{tmp_path}/rows.csv", prepare=[{"validate": options}])
    assert (raised.value.field or "").startswith("prepare.0.validate")
    validated = {**options, "max_broken": 0.5} if "min_rows" not in options else {"min_rows": 4}
    output, _ = prepared(source=f"{tmp_path}/rows.csv", prepare=[{"validate": validated}], attempt=2)
    assert output["rows"] == {"train": 4}
