"""Checkpoints: all that training needs to go on to the same bits, as safetensors and JSON.

Tensors are written first, then a small JSON file with their digest; a checkpoint counts only if both are there
and agree, so one torn by a power cut is passed over for the one before it. When they are written is decided in
`writing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from modelhall.core import files, stored_json, weights
from modelhall.core.errors import HallError
from modelhall.stages.train import pieces


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state after `step` steps."""

    step: int
    tensors: Mapping[str, torch.Tensor]
    facts: Mapping[str, Any]
    """JSON."""


class Checkpoints:
    """The checkpoints in one folder, of which the newest `kept` stay; those of another order (`key`) are passed
    over. The best weights so far are part of each."""

    def __init__(self, folder: Path, key: str, *, kept: int) -> None:
        self._folder = folder
        self._key = key
        self._kept = kept

    def write(self, checkpoint: Checkpoint) -> None:
        """Write it durably, then remove those that are no longer kept. One process at a time does this."""
        name = f"step-{checkpoint.step:09d}"
        sha256 = hashlib.sha256()
        files.write_pieces(
            self._folder / f"{name}.safetensors",
            _told_to(sha256.update, pieces.pieces_of(checkpoint.tensors)),
        )
        facts = {
            "key": self._key,
            "step": checkpoint.step,
            "digest": sha256.hexdigest(),
            "facts": dict(checkpoint.facts),
        }
        files.write_json(self._folder / f"{name}.json", facts)
        for old in self._newest_first()[self._kept :]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)

    def clear_torn(self) -> None:
        """Remove what those have left that were killed while they wrote; for whoever is going to write."""
        for path in self._folder.glob(".step-*"):
            path.unlink()
        for path in self._folder.glob("step-*.safetensors"):
            if not path.with_suffix(".json").exists():
                path.unlink()

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint, if there is any."""
        whole = (self._read(path) for path in self._newest_first())
        return next((checkpoint for checkpoint in whole if checkpoint), None)

    def _newest_first(self) -> list[Path]:
        return sorted(self._folder.glob("step-*.json"), reverse=True)

    def _read(self, path: Path) -> Checkpoint | None:
        """None when it is torn, or of another order, or no checkpoint at all."""
        file = path.with_suffix(".safetensors")
        try:
            told = stored_json.read(path)
            if (told.get("key"), told.get("digest")) != (self._key, _digest_of(file)):
                return None
            weights.read_header(file)
        except (OSError, HallError):
            return None
        return Checkpoint(step=told["step"], tensors=load_file(file), facts=told["facts"])


def _told_to(hear: Any, parts: Iterable[memoryview]) -> Iterator[memoryview]:
    """The same parts, each told to somebody on the way."""
    for part in parts:
        hear(part)
        yield part


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
