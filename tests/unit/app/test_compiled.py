"""The compiled request path is used where it is of the very sources that are here, and else plain Python is."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from modelhall.app.compiled.build import build
from modelhall.app.compiled.finder import in_use, use
from modelhall.app.compiled.sources import MARK, MODULES, PACKAGE, is_current, print_of_sources
from modelhall.core.errors import Broken, Rejected


def test_every_module_that_is_compiled_is_one_of_ours() -> None:
    missing = [
        name for name in MODULES if not PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py").exists()
    ]
    assert not missing
    assert len(set(MODULES)) == len(MODULES)


def test_no_dataclass_with_slots_is_compiled_since_its_defaults_would_not_be_set() -> None:
    sources = {name: PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py") for name in MODULES}
    assert not [name for name, path in sources.items() if "slots=True" in path.read_text()]


@pytest.mark.parametrize("mark", [None, "", "of what it was before somebody edited it"])
def test_what_is_of_other_sources_is_left_alone(mark: str | None, tmp_path: Path) -> None:
    if mark is not None:
        (tmp_path / MARK).write_text(mark)
    before = in_use()
    assert not is_current(tmp_path)
    assert not use(tmp_path)
    assert in_use() == before


def test_the_two_forms_are_not_mixed(tmp_path: Path) -> None:
    importlib.import_module(MODULES[0])
    (tmp_path / MARK).write_text(print_of_sources())
    with pytest.raises(Broken, match="imported already"):
        use(tmp_path)


def test_who_has_no_compiler_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Rejected, match="no C compiler"):
        build(tmp_path / "built")
    assert not (tmp_path / "built").exists()
