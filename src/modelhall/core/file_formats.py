"""What the name of a file tells: how it is packed, and of which format it is. What is in it, the formats find out."""

from __future__ import annotations

from pathlib import PurePosixPath

PACKINGS = (".gz", ".bz2", ".xz", ".zst")
_SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".npz": "npz", ".txt": "txt",
    ".md": "documents", ".markdown": "documents", ".html": "documents", ".htm": "documents",
    ".png": "images", ".jpg": "images", ".jpeg": "images", ".gif": "images", ".bmp": "images", ".webp": "images",
    ".wav": "audio", ".flac": "audio",
}  # fmt: skip


def packing(name: str) -> str | None:
    """How the file of this name is packed: the ending that tells it, or None."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if suffix in PACKINGS else None


def told_by(name: str) -> str | None:
    """The format that the name of a file, a glob or a URL tells; None where it tells none, as archives do."""
    path = PurePosixPath(name.partition("#")[0].partition("?")[0])
    if packing(path.name):
        path = path.with_suffix("")
    return _SUFFIXES.get(path.suffix.lower())
