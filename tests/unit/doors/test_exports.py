"""An export is written whole or not at all."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhall.core.errors import Broken, NotNow, Rejected
from modelhall.doors.datasets import Datasets

FILES = {"train-00000-of-00001.parquet": b"rows" * 4000, "dataset.json": b"{}"}


class Sending:
    """A wire whose far end sends these pieces, and then maybe breaks off."""

    def __init__(self, data: bytes, breaks: bool = False) -> None:
        self._data = data
        self._breaks = breaks

    def pieces(self, path: str, params: dict[str, str]) -> Iterator[bytes]:
        for start in range(0, len(self._data), 1000):
            yield self._data[start : start + 1000]
        if self._breaks:
            raise NotNow("the hall is gone", delay_s=1)


def sent(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            told = tarfile.TarInfo(name)
            told.size = len(content)
            tar.addfile(told, io.BytesIO(content))
    return made.getvalue()


def export(to: Path, data: bytes, *, breaks: bool = False) -> list[Path]:
    return Datasets(Sending(data, breaks)).export("d", to)  # type: ignore[arg-type]


def test_all_files_are_there_when_all_have_come(tmp_path: Path) -> None:
    written = export(tmp_path / "below" / "out", sent(FILES))
    assert {path.name: path.read_bytes() for path in written} == FILES


@pytest.mark.parametrize("length", [0, 1, 700, 5000, 17_000])
def test_what_breaks_off_leaves_nothing(tmp_path: Path, length: int) -> None:
    with pytest.raises(Broken, match="breaks off"):
        export(tmp_path / "out", sent(FILES)[:length])
    with pytest.raises(NotNow):
        export(tmp_path / "out", sent(FILES)[:5000], breaks=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../train-00000-of-00001.parquet", "/etc/passwd", "train.sh", "x/dataset.json"]
)
def test_a_file_that_is_none_of_a_data_set_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Broken, match="none of a data set"):
        export(tmp_path / "out", sent({name: b"x", **FILES}))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="is there already"):
        export(tmp_path, sent(FILES))
    assert list(tmp_path.iterdir()) == []
