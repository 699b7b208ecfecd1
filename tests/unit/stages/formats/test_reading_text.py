"""Encodings, and text whose rows are lines, paragraphs or files."""

from __future__ import annotations

import gzip
import random

import pytest
from reading_files import Read, Refused

from modelhall.core.ports.source import Limits

CHINESE = "酒店很好，早餐不错，下次还来。"
SHORT = ["好", "很好", "酒店", "不错，还来", "房间太小了!", "OK 的", "服务员态度差。"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"]
)
@pytest.mark.parametrize("text", [CHINESE, "plain words\n" * 50 + CHINESE])
def test_the_encoding_is_found_out(read: Read, encoding: str, text: str) -> None:
    if encoding in ("utf-16-le", "utf-16-be") and text == CHINESE:
        pytest.skip("without a mark or one letter of ASCII nothing tells it")
    assert read({"a.txt": text.encode(encoding)})["text"].to_list() == text.split("\n")


@pytest.mark.parametrize("text", SHORT)
def test_a_few_chinese_letters_in_gb18030_are_enough(read: Read, text: str) -> None:
    assert read({"a.csv": f"text,label\n{text},1\n".encode("gb18030")})["text"].to_list() == [text]


def test_traditional_characters_are_chinese_too(read: Read) -> None:
    poem = "秦川雄帝宅，函谷壯皇居。綺殿千尋起，離宮百雉餘。"
    assert read({"a.txt": poem.encode("gb18030")})["text"].to_list() == [poem]


def test_letters_beyond_ascii_that_begin_far_down_are_found_out(read: Read) -> None:
    text = "x" * 79 + "\n"
    rows = read({"a.txt": text.encode() * 150_000 + CHINESE.encode("gb18030")})
    assert rows["text"][-1] == CHINESE


@pytest.mark.parametrize("words", ["un café\n", "naïve façade\n", "Müller und Söhne\n"])
def test_an_encoding_that_fits_any_file_is_not_guessed_but_asked_for(
    read: Read, refused: Refused, words: str
) -> None:
    error = refused({"a.txt": b"one line\n" + words.encode("cp1252")})
    assert error.message.startswith("a.txt line 2: byte 0x")
    assert "`format: {encoding: cp1252}`" in error.message
    assert read({"a.txt": words.encode("cp1252")}, encoding="cp1252")["text"].to_list() == [words.strip()]


def test_a_wrong_encoding_is_refused_with_its_line(refused: Refused) -> None:
    error = refused({"a.txt": b"one\ntwo\n" + CHINESE.encode("gb18030")}, encoding="utf-8")
    assert (error.field, error.message) == ("format.encoding", "a.txt line 3: byte 0xbe is not UTF-8")
    assert refused({"a.txt": b"x"}, encoding="utf-99").field == "format.encoding"


def test_rows_are_lines_paragraphs_or_files(read: Read) -> None:
    text = "one\r\ntwo\r\n\r\n \nthree\n"
    assert read({"a.txt": text})["text"].to_list() == ["one", "two", "three"]
    assert read({"a.txt": text}, rows="paragraph")["text"].to_list() == ["one\ntwo", "three"]
    assert read({"a.txt": text}, rows="file").row(0) == ("a.txt", text)


def test_a_paragraph_may_go_over_many_chunks(read: Read) -> None:
    paragraph = "\n".join(["words of a long paragraph"] * 400_000)
    rows = read({"a.txt": f"{paragraph}\n\nlast"}, rows="paragraph")
    assert rows["text"].to_list() == [paragraph, "last"]


@pytest.mark.parametrize("rows", ["line", "paragraph"])
def test_what_is_longer_than_a_line_may_be_is_refused_before_it_is_held(refused: Refused, rows: str) -> None:
    limits = Limits(line_bytes=10_000_000)
    # Two gigabytes of one line, were it unpacked to its end.
    packed = gzip.compress(random.Random(1).randbytes(2_000).hex().encode() * 25) * 20_000
    error = refused({"a.txt.gz": packed}, limits=limits, rows=rows)
    assert (
        error.message
        == "a.txt.gz line 1: the line is longer than 10,000,000 bytes (setting `source_line_bytes`)"
    )


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_a_long_line_is_refused_in_tables_as_well(refused: Refused, name: str) -> None:
    error = refused({name: b'{"a": "' + b"x" * 20_000_000}, limits=Limits(line_bytes=10_000_000))
    assert "line 1" in error.message
    assert "longer than 10,000,000 bytes" in error.message


def test_documents_are_a_row_a_file(read: Read) -> None:
    rows = read({"docs/a.md": "# One\n\ntext", "docs/b.md": CHINESE.encode("gb18030")})
    assert rows.rows() == [("a.md", "# One\n\ntext"), ("b.md", CHINESE)]
    assert read({"p.html": "<p>x</p>"}).row(0) == ("p.html", "<p>x</p>")
