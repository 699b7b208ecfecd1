"""What hall files may say, and how every mistake in one is told."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelhall.core import hallfile
from modelhall.core.errors import Rejected
from modelhall.core.hallfile import MAX_BYTES, anchored, document_from_json, parse

DATASET = "kind: dataset\nname: digits\nsource: digits.csv\n"
MODEL = """\
kind: model
name: digits
task: image-classification
data: digits
network: {family: cnn}
"""


def rejected(text: str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse(text, "my.yaml")
    return caught.value


def option(scalar: str) -> object:
    """What a plain scalar means, seen through a field that takes anything."""
    (declared,) = parse(f"{MODEL}network: {{family: cnn, x: {scalar}}}\n".replace(MODEL[-23:], ""), "f")
    return declared.document.network.options["x"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("5e-4", 5e-4), ("1.", 1.0), (".5", 0.5), ("+3", 3), ("-0", 0), ("007", 7), ("0o14", 12), ("0x1F", 31),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("y", "y"), ("tRuE", "tRuE"), ("1_000", "1_000"),
        ("12:30", "12:30"), ("2024-01-31", "2024-01-31"), ("1e", "1e"), ("0x", "0x"), ("0o9", "0o9"),
        ("true", True), ("False", False), ("TRUE", True), ("null", None), ("~", None), ("Null", None),
        ("'5'", "5"), ('"true"', "true"), ("''", ""), ("nUll", "nUll"), ("[1, a]", [1, "a"]),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_says(scalar: str, value: object) -> None:
    found = option(scalar)
    assert (found, type(found)) == (value, type(value))


def test_several_documents_stand_in_one_file_and_empty_ones_are_passed_over() -> None:
    declared = parse(f"---\n{DATASET}---\n---\n# only a comment\n---\n{MODEL}", "my.yaml")
    assert [one.document.key.path for one in declared] == ["dataset/default/digits", "model/default/digits"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n---\n"])
def test_a_file_that_declares_nothing_is_no_mistake(text: str) -> None:
    assert parse(text, "my.yaml") == []


@pytest.mark.parametrize(
    ("text", "line", "field", "said"),
    [
        pytest.param(DATASET + "sauce: x\n", 4, "sauce", "did you mean 'source'", id="unknown field"),
        pytest.param(MODEL + "train:\n  epoch: 1\n", 7, "train.epoch", "'epochs'", id="unknown inner field"),
        pytest.param("kind: modle\nname: a\n", 1, "kind", "did you mean 'model'", id="unknown kind"),
        pytest.param("kind: node\nname: a\n", 1, "kind", "no kind 'node'", id="kind nobody declares"),
        pytest.param("kind: [model]\n", 1, "kind", "no kind", id="kind is a list"),
        pytest.param("name: a\n", 1, "kind", "no kind is given", id="no kind"),
        pytest.param("- a\n- b\n", 1, None, "not list", id="a list"),
        pytest.param("hello\n", 1, None, "not str", id="a word"),
        pytest.param("kind: dataset\nname: a\n", 1, "source", "required", id="missing field"),
        pytest.param(MODEL + "train:\n  epochs: many\n", 7, "train.epochs", '"many"', id="wrong type"),
        pytest.param(MODEL + "train: {epochs: '3'}\n", 6, "train.epochs", "integer", id="a word for a number"),
        pytest.param(MODEL + "train: {epochs: true}\n", 6, "train.epochs", "integer", id="true for a number"),
        pytest.param(MODEL + "train: {epochs: -1}\n", 6, "train.epochs", "greater", id="out of range"),
        pytest.param(MODEL + "train: {epochs: 1e999}\n", 6, "train.epochs", "finite", id="not finite"),
        pytest.param(MODEL + "require:\n  a: big\n", 7, "require.a", "not a requirement", id="requirement"),
        pytest.param(DATASET.replace("digits\n", "Digits\n"), 2, "name", "not a name", id="name"),
        pytest.param(DATASET + "project: '-'\n", 4, "project", "not a name", id="project"),
        pytest.param(MODEL.replace("data: digits", "data: a@xyz"), 4, "data", "digits of a version", id="reference"),
        pytest.param(DATASET + "prepare:\n- clean: {}\n- a: {}\n  b: {}\n", 6, "prepare.1", "one name", id="step"),
        pytest.param(DATASET.replace("digits.csv", "{dev: a}"), 3, "source.dev", "'validation'", id="unknown split"),
        pytest.param(DATASET + "labels: {a: 1}\n", 4, "labels.a", "string", id="label"),
        pytest.param(DATASET + "name: again\n", 4, None, "stands twice", id="a key twice"),
        pytest.param(DATASET + "? [a]\n: 1\n", 4, None, "must be a word", id="a key that is a list"),
        pytest.param(DATASET + "labels: !python/object:os.system {}\n", 4, None, "tags", id="tag"),
        pytest.param(DATASET + "labels: {a: !!binary aGk=}\n", 4, None, "tags", id="binary"),
        pytest.param(DATASET + "labels: {a: b\n", 5, None, "not YAML", id="open brace"),
        pytest.param(DATASET + "\tlabels: x\n", 4, None, "not YAML", id="tab"),
        pytest.param(DATASET + "labels: *nobody\n", 4, None, "not YAML", id="alias of nothing"),
        pytest.param(DATASET + "labels: &a {x: *a}\n", 4, None, "levels", id="alias of itself"),
        pytest.param(MODEL + f"train: {{seed: 0x{'f' * 17}}}\n", 6, "train.seed", "64 bits", id="65 bits"),
        pytest.param(MODEL + f"train: {{seed: {'9' * 400}}}\n", 6, "train.seed", "finite", id="400 digits"),
        pytest.param(DATASET + f"labels: {'{a: ' * 60}\n", 4, None, "levels", id="deep maps"),
        pytest.param(DATASET + "str: 1\n", 4, "str", "no field 'str'", id="field named like a type"),
        pytest.param(DATASET + "a[b]: 1\n", 4, "a[b]", "no field 'a[b]'", id="field with brackets"),
        pytest.param(DATASET + "²: 1\n", 4, "²", "no field '²'", id="digit that is no number"),
        pytest.param(DATASET + "7: 1\n", 4, "7", "no field '7'", id="field named like a number"),
        pytest.param(DATASET + 'labels: {a: "\\UFFFFFFFF"}\n', None, None, "not YAML", id="no such character"),
        pytest.param(DATASET + 'labels: {a: "\\ud800"}\n', 1, None, "half a character", id="half a character"),
        pytest.param(f"--- \n{DATASET}---\n{DATASET}sauce: x\n", 9, "sauce", "source", id="second document"),
        pytest.param("%YAML 1." + "9" * 5000 + "\n---\na: 1\n", None, None, "not YAML", id="endless version"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_field(
    text: str, line: int | None, field: str | None, said: str
) -> None:
    error = rejected(text)
    assert (error.file, error.line, error.field) == ("my.yaml", line, field)
    assert said in error.message


def test_an_error_reads_as_file_line_field_and_message() -> None:
    assert str(rejected(DATASET + "sauce: x\n")).startswith("my.yaml:4: sauce: no field 'sauce'")


def test_aliases_are_followed_where_they_are_short() -> None:
    (twice,) = parse("kind: dataset\nname: &n digits\nsource: *n\n", "my.yaml")
    assert twice.document.source == "digits"  # type: ignore[attr-defined]


def test_aliases_that_explode_are_refused_in_a_moment() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    before = time.process_time()
    assert "aliases" in rejected("\n".join(lines)).message
    assert time.process_time() - before < 5


def test_nesting_without_end_and_files_without_end_are_refused() -> None:
    assert "levels" in rejected("[" * 700).message
    assert "levels" in rejected("[" * 60 + "]" * 60).message
    assert str(MAX_BYTES) in rejected("#" * (MAX_BYTES + 1)).message


def test_more_values_than_any_file_needs_are_refused_before_they_are_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hallfile, "MAX_NODES", 1000)
    # The end of it is no YAML, and is never come to.
    assert "at most 1000 values" in rejected("[" + "a," * 1001 + "}").message


def test_blame_finds_the_line_of_a_field_or_of_what_is_around_it() -> None:
    (declared,) = parse(DATASET + "prepare:\n- clean:\n    strip_html: 1\n", "my.yaml")
    for field, line in [
        ("prepare.0.clean.strip_html", 6),
        ("prepare.0.clean.none", 5),
        ("none", 1),
        (None, 1),
    ]:
        blamed = declared.blame(Rejected("no", field=field, status=409))
        assert (blamed.line, blamed.field, blamed.status) == (line, field, 409)


def test_blame_takes_any_field_name() -> None:
    (declared,) = parse(DATASET, "my.yaml")
    assert declared.blame(Rejected("no", field="labels.²")).line == 1


def test_relative_sources_are_taken_from_where_the_file_lies(tmp_path: Path) -> None:
    text = DATASET.replace("digits.csv", "{train: a.csv, test: s3://b/c.csv, validation: /abs/d.csv}")
    (declared,) = parse(text, "my.yaml")
    moved = anchored(declared, tmp_path)
    assert moved.document.source == {  # type: ignore[attr-defined]
        "train": f"{tmp_path}/a.csv", "test": "s3://b/c.csv", "validation": "/abs/d.csv",
    }  # fmt: skip
    assert moved.lines == declared.lines
    (single,) = parse(DATASET, "my.yaml")
    assert anchored(single, tmp_path).document.source == f"{tmp_path}/digits.csv"  # type: ignore[attr-defined]
    (model,) = parse(MODEL, "my.yaml")
    assert anchored(model, tmp_path) == model


def test_json_is_checked_as_strictly_as_a_hall_file() -> None:
    good = {"kind": "service", "name": "a", "model": "b"}
    assert document_from_json(good).key.path == "service/default/a"
    for bad in (
        5, None, [], {}, {"kind": 5}, {**good, "replicas": "2"}, {**good, "replicas": 2.5},
        {**good, "try_timeout_s": float("nan")}, {**good, "labels": {"a": "\ud800"}},
    ):  # fmt: skip
        with pytest.raises(Rejected):
            document_from_json(bad)


YAML_PIECES = st.sampled_from([
    "kind: ", "model", "dataset", "run", "name: ", "source: ", "a", "\n", "\n---\n", "  ", "- ", ": ", "{", "}",
    "[", "]", ",", "&a ", "*a", "!!str ", "!x ", "|\n", ">\n", "'", '"', "\\x", "\\U", "#", "? ", "<<", "%YAML ",
    "%TAG ", "...", "\t", "~", "1e9", ".inf", "0x1", "²", "\ud800", "\x00", "\ufeff", "\u2028", "prepare:", "labels:",
    "command: ", "resources:", "cpus: ", "-1", "str", "data: ", "network: ", "family: ", "require: ", ">= 1",
])  # fmt: skip


@settings(max_examples=200)
@given(st.one_of(st.text(), st.lists(YAML_PIECES, max_size=40).map("".join)))
@example('"\\UFFFFFFFF"')
@example("kind: run\nname: a\nstr: 1")
@example("kind: run\nname: a\n[: 1")
def test_any_text_is_either_read_or_refused(text: str) -> None:
    with contextlib.suppress(Rejected):
        parse(text, "any.yaml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from([
    "name", "project", "labels", "source", "prepare", "format", "task", "data", "network", "train", "require",
    "model", "replicas", "batching", "command", "resources", "priority", "quota", "stage", "str", "int",
])  # fmt: skip


@settings(max_examples=80)
@given(
    st.sampled_from(["dataset", "model", "service", "run", "project"]),
    st.dictionaries(FIELDS, JSON, max_size=5),
)
def test_any_json_is_either_a_document_or_refused(kind: str, fields: dict[str, object]) -> None:
    with contextlib.suppress(Rejected):
        document = document_from_json({"kind": kind, "name": "a", **fields})
        assert document_from_json(document.model_dump(mode="json")) == document


SEARCHED = """\
kind: model
name: m
task: text-classification
data: d
network: {family: bert}
search:
  budget: 4
  over:
    network.layers: [1, 2]
    train.learning_rate: {low: 1e-4, high: 1e-2, log: true}
"""


def test_a_search_is_read_as_it_is_written_and_as_it_is_stored() -> None:
    (declared,) = parse(SEARCHED, "f")
    search = declared.document.search
    assert search.over["network.layers"].values == (1, 2)
    assert search.over["train.learning_rate"].samples == (1e-4, 1e-2)
    for kept in (
        declared.document.model_dump(mode="json"),
        declared.document.model_dump(exclude_defaults=True),
    ):
        again = json.loads(json.dumps(kept))
        assert document_from_json({**again, "kind": "model"}) == declared.document


@pytest.mark.parametrize(
    ("was", "now", "line", "said"),
    [
        ("low: 1e-4", "lo: 1e-4", 10, "no field 'lo' here; did you mean 'low'"),
        ("low: 1e-4", "low: 1.0", 10, "not below high"),
        ("low: 1e-4", "low: 0", 10, "above 0"),
        ("[1, 2]", "[]", 9, "at least 1 item"),
        ("[1, 2]", "3", 9, "a list of values is expected"),
        ("budget: 4", "budget: 4000", 7, "less than or equal to 200"),
    ],
)
def test_a_mistake_in_a_search_is_named_with_its_line(was: str, now: str, line: int, said: str) -> None:
    with pytest.raises(Rejected, match=said) as refused:
        parse(SEARCHED.replace(was, now), "f")
    assert refused.value.line == line
