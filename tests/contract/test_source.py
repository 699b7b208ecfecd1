"""What every source promises, and the two the hall has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelhall.adapters.source import source_for
from modelhall.core import plugins
from modelhall.core.errors import Rejected

DIGITS = "package://sklearn/datasets/data/digits.csv.gz"


@pytest.fixture(params=plugins.names("source"))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text("x\n1\n")
    return {"path": f"{tmp_path}/*.csv", "package": "package://sklearn/datasets/data/*.csv.gz"}[request.param]


def test_files_are_found_in_a_fixed_order(url: str) -> None:
    found = source_for(url).find(url)
    assert len(found) > 1
    assert [file.name for file in found] == sorted(file.name for file in found)
    assert all(file.path.is_file() for file in found)


def test_a_fingerprint_stays_while_nothing_changes(url: str) -> None:
    assert source_for(url).fingerprint(url) == source_for(url).fingerprint(url)


def test_nothing_found_is_rejected_and_says_what_was_looked_for(url: str) -> None:
    missing = url.replace("*", "nothing-here-*")
    with pytest.raises(Rejected, match="nothing-here") as raised:
        source_for(missing).find(missing)
    assert raised.value.field == "source"
    with pytest.raises(Rejected):
        source_for(missing).fingerprint(missing)


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("x\n1\n")
    source = source_for(str(file))
    before = source.fingerprint(str(file))
    os.utime(file, ns=(1, 1))
    assert source.fingerprint(str(file)) != before


def test_a_folder_means_all_files_in_it_but_hidden_ones(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/2.png", ".git/config", "dog/.DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = source_for(str(tmp_path)).find(str(tmp_path))
    assert [file.path.relative_to(tmp_path).as_posix() for file in found] == ["cat/1.png", "dog/2.png"]


def test_a_file_with_a_star_in_its_name_is_meant_as_it_stands(tmp_path: Path) -> None:
    for name in ("a*.csv", "ab.csv"):
        (tmp_path / name).write_text("")
    (found,) = source_for(f"{tmp_path}/a*.csv").find(f"{tmp_path}/a*.csv")
    assert found.path.name == "a*.csv"


def test_a_relative_path_is_rejected() -> None:
    with pytest.raises(Rejected, match="absolute"):
        source_for("data.csv").find("data.csv")


def test_data_inside_a_package_is_named_the_same_on_every_machine() -> None:
    (found,) = source_for(DIGITS).find(DIGITS)
    assert found.name == DIGITS


@pytest.mark.parametrize(
    "url",
    [
        "package://sklearn/../os.py",
        "package://sklearn//etc/passwd",
        "package://sklearn",
        "package://no_such_package/data.csv",
        "package://os/path.py",
        "package://sklearn.datasets/data/digits.csv.gz",
    ],
)
def test_a_package_url_that_leads_elsewhere_is_rejected(url: str) -> None:
    with pytest.raises(Rejected):
        source_for(url).find(url)


def test_an_unknown_scheme_is_rejected_with_what_there_is() -> None:
    with pytest.raises(Rejected, match="path"):
        source_for("gopher://x/y")
