"""The console's words: the same in every language, none missing and none that no page says."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from modelhall.core import hallfile
from modelhall.doors.console import examples, language
from modelhall.doors.console.rendering import TEMPLATES

ALL = "".join(
    (language.FOLDER.parent / "templates" / name).read_text(encoding="utf-8")
    for name in TEMPLATES.list_templates(["html"])
)
ASKED = set(re.findall(r"\bt\('([a-z_.0-9]+)'[,)]", ALL))
BEGUN = tuple(re.findall(r"\bt\('([a-z_.0-9]+\.)' ~", ALL))


def test_every_language_has_the_same_words_with_the_same_places_for_values() -> None:
    first = language.WORDS[language.FIRST].known
    for words in language.WORDS.values():
        assert words.known.keys() == first.keys()
        for key, text in words.known.items():
            assert _values(text) == _values(first[key]), key


def test_every_word_that_a_page_says_is_there_and_every_word_is_said() -> None:
    known = language.WORDS[language.FIRST].known.keys()
    said = ASKED | {"time.ago", "time.ahead"}
    assert said - known == set()
    assert {key for key in known - said if not key.startswith((*BEGUN, "state."))} == set()


@pytest.mark.parametrize(
    ("cookie", "accepted", "shown"),
    [
        (None, "", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr-FR,fr;q=0.9,zh;q=0.5", "zh"),
        (None, "fr", "en"),
        ("en", "zh", "en"),
        ("zh", "en", "zh"),
        ("<script>", "en", "en"),
    ],
)
def test_a_visitor_reads_the_language_he_chose_or_else_the_first_that_is_known(
    cookie: str | None, accepted: str, shown: str
) -> None:
    assert language.words_for(cookie, accepted).language == shown


def test_the_hall_files_to_begin_with_can_be_read() -> None:
    for name, text in examples.EXAMPLES.items():
        assert hallfile.parse(text, name)
        assert f"editor.example.{name}" in language.WORDS[language.FIRST].known


def _values(text: str) -> set[str | None]:
    return {field for _, field, _, _ in Formatter().parse(text) if field}
