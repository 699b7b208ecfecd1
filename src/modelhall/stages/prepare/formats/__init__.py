"""How source files become rows: one file a format, with one function

    read(files: list[Source], *, options…) -> polars.DataFrame

whose options are among those of the `format` field: `header` and `columns`. A file that cannot be read is
Rejected by its name, and where there are lines, by its line. Damage inside a row is the stage's affair.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.dataset import Format, SourceFile

_SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".png": "images", ".jpg": "images", ".jpeg": "images", ".gif": "images", ".bmp": "images", ".webp": "images",
}  # fmt: skip
"""What a file's name tells about its format."""


@dataclass(frozen=True)
class Source:
    """One source file in memory: its name in lineage, where it lies, and its content as stored."""

    name: str
    path: Path
    stored: bytes

    @property
    def lineage(self) -> SourceFile:
        return SourceFile(
            path=self.name, digest=hashlib.sha256(self.stored).hexdigest(), size_bytes=len(self.stored)
        )

    @property
    def content(self) -> bytes:
        """The content, unpacked if the name ends in .gz."""
        if not self.name.endswith(".gz"):
            return self.stored
        try:
            return gzip.decompress(self.stored)
        except (OSError, EOFError, zlib.error) as error:
            raise Rejected(f"{self.name} cannot be unpacked: {error}", field="source") from None

    @property
    def text(self) -> bytes:
        """The unpacked content, known to be UTF-8, without a byte order mark."""
        content = self.content.removeprefix(b"\xef\xbb\xbf")
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise Rejected(
                f"{self.name} line {line}: byte 0x{content[error.start]:02x} is not UTF-8; convert the file first, "
                "such as `iconv -f gb18030 -t utf-8`",
                field="source",
            ) from None
        return content


def read(files: Sequence[Source], form: Format) -> pl.DataFrame:
    """All rows of `files`, in order, by the format said or the one their names tell."""
    name = form.type or _guess([file.name for file in files])
    options = form.model_dump(mode="json", exclude={"type"}, exclude_defaults=True)
    plugins.check_options("format", name, "read", options, field="format")
    module = plugins.load("format", name, field="format.type")
    frame: pl.DataFrame = module.read(list(files), **options)
    if not frame.height:
        raise Rejected(f"{files[0].name} holds no rows", field="source")
    return frame


def stack(frames: Sequence[pl.DataFrame], names: Sequence[str]) -> pl.DataFrame:
    """The frames below each other; raises Rejected when their columns differ."""
    for frame, name in zip(frames, names, strict=True):
        if frame.columns != frames[0].columns:
            raise Rejected(
                f"{name} has the columns {', '.join(frame.columns)}; {names[0]} has {', '.join(frames[0].columns)}",
                field="source",
            )
    try:
        return pl.concat(frames, how="vertical_relaxed", rechunk=True)
    except pl.exceptions.PolarsError as error:
        raise Rejected(
            f"the types of the columns of {', '.join(names)} differ: {error}", field="source"
        ) from None


def _guess(names: Sequence[str]) -> str:
    """The one format all names tell."""
    told = {_SUFFIXES.get(Path(name.removesuffix(".gz")).suffix.lower()) for name in names}
    if len(told) != 1 or None in told:
        endings = sorted({Path(name).suffix or Path(name).name for name in names})
        raise Rejected(
            f"the names of the files ({', '.join(endings[:5])}) do not tell one format; say which, such as "
            "`format: {type: csv}`",
            field="format.type",
        )
    return str(told.pop())
