"""What commands print for people and for programs."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from modelhall.core.errors import NotFound, Rejected
from modelhall.doors.cli import terminal
from modelhall.doors.cli.terminal import Form

AWKWARD = {
    "name": "größe [red]不[/]",
    "long": "x " * 400,
    "none": None,
    "on": "yes",
    "number": 1.5,
    "list": [{"a": 1}],
}


def test_programs_read_back_what_was_shown(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show(Form.json, AWKWARD)
    assert json.loads(capsys.readouterr().out) == AWKWARD
    terminal.show(Form.yaml, AWKWARD)
    assert yaml.safe_load(capsys.readouterr().out) == AWKWARD


def test_what_is_no_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show(Form.table, None, ("what",), [("[red]text[/]",), (terminal.coloured("ready"),)])
    shown = capsys.readouterr().out
    assert "[red]text[/]" in shown
    assert "[green]" not in shown


def test_an_error_is_one_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.complain(Rejected("no such thing " * 40, file="hall.yaml", line=3, field="a.b"))
    terminal.complain(NotFound("no [bold]model[/] x"))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("hall: hall.yaml:3: a.b: no such thing")
    assert second == "hall: no [bold]model[/] x"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (90000, "1 d")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, said: str) -> None:
    assert terminal.age(time.time() - seconds) == said
