"""Settings: where they come from, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhall.core.errors import Rejected
from modelhall.settings import load


def test_the_environment_wins_over_the_file_and_what_is_given_over_both(tmp_path: Path) -> None:
    (tmp_path / "hall.toml").write_text("port = 1\ngateway_port = 2\npue = 1.5\n")
    found = load({"MODELHALL_GATEWAY_PORT": "3", "MODELHALL_PORT": "4"}, home=tmp_path, port=5)
    assert (found.port, found.gateway_port, found.pue) == (5, 3, 1.5)


def test_programs_see_none_of_the_environment_but_what_is_listed(tmp_path: Path) -> None:
    found = load({"PATH": "/bin", "AWS_SECRET": "x", "MODELHALL_HOME": str(tmp_path)})
    assert found.environment == {"PATH": "/bin"}
    assert found.home == tmp_path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pue = 0.5", "pue: Input should be greater than or equal to 1"),
        ("currency = 'EUROS'", "currency: String should match pattern"),
        ("prot = 1", "did you mean 'port'"),
        ("port =", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "hall.toml").write_text(text)
    with pytest.raises(Rejected) as refused:
        load({}, home=tmp_path)
    assert str(refused.value).startswith(str(tmp_path / "hall.toml"))
    assert says in str(refused.value)


def test_a_mistake_in_the_environment_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        load({"MODELHALL_PORT": "many"}, home=tmp_path)
    assert (refused.value.file, refused.value.field) == (None, "port")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "hall.toml").mkdir()
    with pytest.raises(Rejected, match=r"hall\.toml: cannot be read"):
        load({}, home=tmp_path)
