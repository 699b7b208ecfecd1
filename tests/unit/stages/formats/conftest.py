"""Files in a folder of the test's own, read as the prepare stage reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from reading_files import Read, Refused

from modelhall.core.errors import HallError
from modelhall.core.kinds.dataset import Format
from modelhall.core.ports.source import Limits
from modelhall.stages.prepare import formats


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes files of these names and contents and reads them: all rows."""

    def go(files: dict[str, bytes | str], *, limits: Limits | None = None, **form: Any) -> pl.DataFrame:
        sources = []
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            sources.append(formats.Source(name, path, limits or Limits()))
        return pl.concat(formats.batches(sources, Format(**form)))

    return go


@pytest.fixture
def refused(read: Read) -> Refused:
    """The error that reading ends in."""

    def go(files: dict[str, bytes | str], **form: Any) -> HallError:
        with pytest.raises(HallError) as raised:
            read(files, **form)
        return raised.value

    return go
