"""csv, tsv, json and jsonl: types, line ends, quotes, and what is refused with its line."""

from __future__ import annotations

import math

import polars as pl
import pytest
from reading_files import Read, Refused


def test_types_are_those_that_all_values_tell(read: Read) -> None:
    rows = read({"a.csv": "i,f,b,s,n\n1,1.5,true,x,\n-2,2,FALSE,7,\n"})
    assert dict(rows.schema) == {
        "i": pl.Int64, "f": pl.Float64, "b": pl.Boolean, "s": pl.String, "n": pl.String,
    }  # fmt: skip
    assert rows.row(1) == (-2, 2.0, False, "7", None)


@pytest.mark.parametrize("written", ["007", "+1", "1e400x", "0x10", "1_000", "-0"])
def test_what_could_not_be_written_back_the_same_is_no_whole_number(read: Read, written: str) -> None:
    assert read({"a.csv": f"x,y\n1,1\n{written},1\n"}).schema["x"] != pl.Int64


def test_a_zip_code_keeps_its_zeros(read: Read) -> None:
    assert read({"a.csv": "zip,n\n01234,1\n98765,2\n"})["zip"].to_list() == ["01234", "98765"]


@pytest.mark.parametrize(
    ("later", "kind"), [("0.5", pl.Float64), ("x", pl.String), ("true", pl.String), ("", pl.Int64)]
)
def test_a_column_that_changes_type_half_way_is_promoted_and_loses_nothing(
    read: Read, later: str, kind: type[pl.DataType]
) -> None:
    body = "".join(f"{row},x\n" for row in range(100_000))
    rows = read({"a.csv": f"v,w\n{body}{later},x\n"})
    assert rows.schema["v"] == kind
    assert rows["v"][7] == {pl.Float64: 7.0, pl.String: "7", pl.Int64: 7}[kind]


def test_whole_numbers_too_large_for_floats_are_kept_digit_by_digit(read: Read) -> None:
    large = 2**53 + 1
    assert read({"a.csv": f"v,w\n{large},x\n"})["v"].to_list() == [large]
    assert read({"a.csv": f"v,w\n{large},x\n0.5,x\n"})["v"].to_list() == [str(large), "0.5"]
    assert read({"a.csv": f"v,w\n{10**30},x\n"})["v"].to_list() == [str(10**30)]


def test_nan_and_infinity_are_kept_in_columns_of_numbers(read: Read) -> None:
    values = read({"a.csv": "v,w\n1.5,x\nNaN,x\n-Infinity,x\ninf,x\n"})["v"].to_list()
    assert math.isnan(values[1])
    assert values[2:] == [-math.inf, math.inf]
    values = read({"b.jsonl": '{"v": 1.5}\n{"v": NaN}\n{"v": -Infinity}\n'})["v"].to_list()
    assert math.isnan(values[1])
    assert values[2] == -math.inf


def test_types_that_are_said_are_taken_and_one_that_does_not_fit_is_refused_with_its_line(
    read: Read, refused: Refused
) -> None:
    assert read({"a.csv": "v,w\n1,2\n"}, types={"v": "str"}).row(0) == ("1", 2)
    error = refused({"a.csv": 'v,w\n1,"x\ny"\ntwo,y\n'}, types={"v": "int"})
    assert (error.field, error.message) == (
        "format.types",
        "a.csv line 4: 'two' in column 'v' is not Int64",
    )
    assert "did you mean 'v'" in refused({"a.csv": "v\n1\n"}, types={"vv": "int"}).message


def test_marks_line_ends_quotes_and_blank_lines_are_no_part_of_the_rows(read: Read) -> None:
    rows = read({"a.csv": '\ufeff"x\r\ny",z\r\n"1\n2, ""3""",4\r\n\r\n5,\r\n'})
    assert rows.columns == ["x\r\ny", "z"]
    assert rows.rows() == [('1\n2, "3"', 4), ("5", None)]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\n\r\n"])
def test_any_line_end_does_also_mixed_with_others(read: Read, ends: str) -> None:
    rows = read({"a.csv": f'a,b{ends}1,"x\ry"\r\n2,z{ends}3,w\r4,v\n'})
    assert rows.rows() == [(1, "x\ry"), (2, "z"), (3, "w"), (4, "v")]


def test_quoted_rows_over_many_chunks_are_cut_between_rows(read: Read) -> None:
    text = "line one\nline two, still\n" * 40
    body = "".join(f'{row},"{text}"\n' for row in range(20_000))
    rows = read({"a.csv": f"n,text\n{body}"})
    assert rows.height == 20_000
    assert rows["text"].n_unique() == 1
    assert rows["n"].to_list() == list(range(20_000))


def test_another_separator_no_quotes_and_blanks_around_fields(read: Read) -> None:
    assert read({"a.csv": "a;b\n1;x,y\n"}, separator=";").row(0) == (1, "x,y")
    assert read({"a.csv": 'a,b\n5" disk,1\n'}, quote="").row(0) == ('5" disk', 1)
    assert read({"a.csv": "39, State-gov\n50, Private\n"}, header=False, trim=True).rows() == [
        (39, "State-gov"),
        (50, "Private"),
    ]


def test_a_missing_number_at_the_end_of_a_row_is_not_taken_for_a_short_row(read: Read) -> None:
    assert read({"a.csv": 'a,b\n"x,y",1\n"z",\n\n'}).rows() == [("x,y", 1), ("z", None)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b\n1,2\n3\n", "t.csv line 3: 1 fields where the first line has 2"),
        ("a,b\n1,2\n3,4,5\n", "t.csv line 3: 3 fields where the first line has 2"),
        ('a,b\n"x\ny",2\n3\n', "t.csv line 4: 1 fields where the first line has 2"),
        ('a,b\n1,2\n5" disk,2\n', "t.csv line 3: cannot be read from here on"),
        ('a,b\n1,2\n"open,2\n', "t.csv line 3"),
        ("", "t.csv is empty"),
        ("a,b\n", "t.csv holds no rows"),
        ("a,a\n1,2\n", "t.csv has two columns 'a'"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_with_its_line(
    refused: Refused, content: str, says: str
) -> None:
    assert refused({"t.csv": content}).message.startswith(says)


def test_a_ragged_row_far_down_is_refused_with_its_line(refused: Refused) -> None:
    body = "".join(f"{row},some text to fill the line with\n" for row in range(600_000))
    error = refused({"t.csv": f"a,b\n{body}1\n"})
    assert error.message == "t.csv line 600002: 1 fields where the first line has 2"


def test_several_files_have_the_same_columns_and_one_type_for_each(read: Read, refused: Refused) -> None:
    rows = read({"a.csv": "x,y\n1,2\n", "b.csv": "x,y\n0.5,z\n"})
    assert rows.rows() == [(1.0, "2"), (0.5, "z")]
    error = refused({"a.csv": "x,y\n1,2\n", "b.csv": "x,z\n1,2\n"})
    assert error.message == "b.csv has the columns x, z; a.csv has x, y"


def test_jsonl_keeps_the_types_that_json_has(read: Read) -> None:
    rows = read(
        {
            "a.jsonl": '{"s": "7", "n": 1, "l": [1], "o": {"a": 1}}\n\n{"n": 0.5, "b": true, "o": {"b": "x"}}\r\n'
        }
    )
    assert rows.rows() == [
        ("7", 1.0, [1], {"a": 1, "b": None}, None),
        (None, 0.5, None, {"a": None, "b": "x"}, True),
    ]


@pytest.mark.parametrize(
    ("first", "then", "says"),
    [
        ("1", '"x"', "text, and a number before that"),
        ('"x"', "1", "a number, and text before that"),
        ("1", "[1]", "a list, and a number before that"),
        ("true", "1", "a number, and true or false before that"),
        ('{"a": 1}', "1", "a number, and an object before that"),
    ],
)
def test_a_field_of_jsonl_that_changes_type_is_refused_with_its_line(
    refused: Refused, first: str, then: str, says: str
) -> None:
    lines = f'{{"v": {first}}}\n' * 5 + f'{{"v": {then}}}\n'
    error = refused({"a.jsonl": lines})
    assert error.message.startswith("a.jsonl line 6: 'v' is " + says)


def test_a_field_of_jsonl_that_changes_type_far_down_is_refused(refused: Refused) -> None:
    lines = '{"v": 1, "w": "some text to fill the line with"}\n' * 300_000
    error = refused({"a.jsonl": lines + '{"v": "x"}\n'})
    assert "'v' is" in error.message


def test_a_field_of_jsonl_may_be_said_to_be_text(read: Read) -> None:
    rows = read({"a.jsonl": '{"v": 1}\n{"v": "x"}\n'}, types={"v": "str"})
    assert rows["v"].to_list() == ["1", "x"]


def test_an_object_inside_another_may_use_the_same_names(read: Read) -> None:
    rows = read({"a.jsonl": '{"v": "x", "o": {"v": 1}}\n{"v": "y", "o": {"v": 2}}\n'})
    assert rows.rows() == [("x", {"v": 1}), ("y", {"v": 2})]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"a": ', "a.jsonl line 2: Expecting value"),
        ("[1]", "a.jsonl line 2: not a JSON object"),
        ("[" * 100_000, "a.jsonl line 2: nested too deeply"),
        ('{"a": 1} {"a": 2}', "a.jsonl line 2: Extra data"),
    ],
)
def test_a_line_that_is_no_object_is_refused(refused: Refused, line: str, says: str) -> None:
    assert refused({"a.jsonl": '{"a": 1}\n' + line + "\n"}).message.startswith(says)


def test_json_is_a_list_of_objects_or_an_object_of_columns(read: Read) -> None:
    assert read({"a.json": '[{"x": 1}, {"x": 2, "y": "b"}]'}).rows() == [(1, None), (2, "b")]
    assert read({"b.json": '{"x": [1, 2], "y": [NaN, 0.5]}'})["x"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"x": [1], "y": []}', "a.json: its columns are of different lengths: x 1, y 0"),
        ("3", "a.json is neither a list of objects nor an object of columns"),
        ('[{"x": 1}, {"x": "a"}]', "a.json object 2: 'x' is text, and a number before that"),
        ("[", "a.json: Expecting value"),
    ],
)
def test_json_that_is_no_table_is_refused(refused: Refused, text: str, says: str) -> None:
    assert refused({"a.json": text}).message.startswith(says)
