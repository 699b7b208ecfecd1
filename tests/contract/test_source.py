"""What every source promises, whatever it reaches."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from source_places import ELSEWHERE, NOT_A_PLACE, PLACES, Place

from modelhall.adapters.source import source_for
from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Access

DIGITS = "package://sklearn/datasets/data/digits.csv.gz"
HERE = Access()


@pytest.fixture(params=sorted(set(plugins.names("source")) - NOT_A_PLACE - set(ELSEWHERE)))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path, request)


def test_files_are_found_in_a_fixed_order_and_lie_here(place: Place) -> None:
    found = source_for(place.url).find(place.url, place.access)
    assert len(found) >= place.files
    assert [file.name for file in found] == sorted(file.name for file in found)
    assert all(file.path.is_file() and file.path.stat().st_size for file in found)


def test_the_same_is_found_again_and_under_the_same_names(place: Place) -> None:
    first, again = (source_for(place.url).find(place.url, place.access) for _ in range(2))
    assert [(file.name, file.path.read_bytes()) for file in first] == [
        (file.name, file.path.read_bytes()) for file in again
    ]


def test_a_fingerprint_stays_while_nothing_changes_and_changes_with_the_content(place: Place) -> None:
    source = source_for(place.url)
    before = source.fingerprint(place.url, place.access)
    assert source.fingerprint(place.url, place.access) == before
    if place.change is not None:
        place.change()
        assert source.fingerprint(place.url, place.access) != before


def test_a_fingerprint_needs_no_folder_to_fetch_to(place: Place) -> None:
    assert source_for(place.url).fingerprint(place.url, replace(place.access, folder=None))


def test_nothing_found_is_rejected_and_says_what_was_looked_for(place: Place) -> None:
    with pytest.raises(Rejected, match="nothing-here") as raised:
        source_for(place.missing).find(place.missing, place.access)
    assert raised.value.field == "source"
    with pytest.raises(Rejected):
        source_for(place.missing).fingerprint(place.missing, place.access)


def test_no_name_tells_a_secret_or_what_the_hall_alone_is_told(place: Place) -> None:
    for file in source_for(place.url).find(place.url, place.access):
        assert "#" not in file.name
        assert not any(value in file.name for value in place.access.secrets.values())


def test_a_changed_file_changes_the_fingerprint_though_its_size_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("x\n1\n")
    source = source_for(str(file))
    before = source.fingerprint(str(file), HERE)
    os.utime(file, ns=(1, 1))
    assert source.fingerprint(str(file), HERE) != before


def test_a_folder_means_all_files_in_it_but_hidden_ones(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/2.png", ".git/config", "dog/.DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = source_for(str(tmp_path)).find(str(tmp_path), HERE)
    assert [file.path.relative_to(tmp_path).as_posix() for file in found] == ["cat/1.png", "dog/2.png"]


def test_a_glob_may_have_stars_in_folders_and_go_through_all_of_them(tmp_path: Path) -> None:
    for name in ("a/1/x.csv", "b/1/x.csv", "b/2/y.csv"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x\n1\n")
    found = source_for("/").find(f"{tmp_path}/*/1/x.csv", HERE)
    assert [file.path.relative_to(tmp_path).as_posix() for file in found] == ["a/1/x.csv", "b/1/x.csv"]
    assert len(source_for("/").find(f"{tmp_path}/**/*.csv", HERE)) == 3


def test_a_file_with_a_star_in_its_name_is_meant_as_it_stands(tmp_path: Path) -> None:
    for name in ("a*.csv", "ab.csv"):
        (tmp_path / name).write_text("")
    (found,) = source_for(f"{tmp_path}/a*.csv").find(f"{tmp_path}/a*.csv", HERE)
    assert found.path.name == "a*.csv"


@pytest.mark.parametrize("pattern", ["", "/*.csv", "/**/*.csv"])
def test_a_link_that_leads_out_of_the_folder_is_rejected(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "private.csv").write_text("x\n1\n")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").symlink_to(tmp_path / "private.csv")
    with pytest.raises(Rejected, match=r"a\.csv is a link that leads out"):
        source_for("/").find(f"{folder}{pattern}", HERE)


def test_a_link_that_is_named_itself_is_followed(tmp_path: Path) -> None:
    (tmp_path / "newest.csv").symlink_to(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("x\n1\n")
    assert len(source_for("/").find(f"{tmp_path}/newest.csv", HERE)) == 1


def test_a_relative_path_is_rejected() -> None:
    with pytest.raises(Rejected, match="absolute"):
        source_for("data.csv").find("data.csv", HERE)


def test_a_file_url_is_rejected_with_what_to_write() -> None:
    with pytest.raises(Rejected, match=r"write the path itself, '/data/a\.csv'"):
        source_for("file:///data/a.csv").find("file:///data/a.csv", HERE)


def test_data_inside_a_package_is_named_the_same_on_every_machine() -> None:
    (found,) = source_for(DIGITS).find(DIGITS, HERE)
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
        source_for(url).find(url, HERE)


def test_an_unknown_scheme_is_rejected_with_what_there_is() -> None:
    with pytest.raises(Rejected, match="path"):
        source_for("gopher://x/y")
