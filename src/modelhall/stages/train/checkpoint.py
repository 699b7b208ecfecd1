"""Checkpoints: all that training needs to go on to the same bits, as safetensors and JSON.

Tensors are written first, then a small JSON file with their digest; a checkpoint counts only if both are there
and agree, so one torn by a power cut is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from modelhall.core import digest, files, stored_json, weights
from modelhall.core.errors import HallError

_KEPT = 2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state after `step` steps."""

    step: int
    tensors: Mapping[str, torch.Tensor]
    facts: Mapping[str, Any]
    """JSON."""


class Checkpoints:
    """The checkpoints in one folder; those of another order (`key`) are passed over."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key

    def write(self, checkpoint: Checkpoint) -> None:
        """Write it durably, then remove all but the newest two."""
        data = save({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()})
        name = f"step-{checkpoint.step:09d}"
        files.write_bytes(self._folder / f"{name}.safetensors", data)
        facts = {
            "key": self._key,
            "step": checkpoint.step,
            "digest": digest.of_bytes(data),
            "facts": dict(checkpoint.facts),
        }
        files.write_json(self._folder / f"{name}.json", facts)
        for old in self._newest_first()[_KEPT:]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)

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


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
