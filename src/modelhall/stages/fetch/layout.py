"""The files of a base, laid out as Hugging Face's libraries know them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from modelhall.core.errors import Rejected
from modelhall.core.kinds.dataset import SourceFile
from modelhall.core.ports.source import Found, SourceRules
from modelhall.stages.fetch import gguf, licences

_KEPT = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    "preprocessor_config.json", "*.safetensors",
)  # fmt: skip
_CARD = "README.md"
_GGUF = "*.gguf"
_ADAPTER = "adapter_model.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
WANTED = (*_KEPT, _CARD, _GGUF)
"""Names of the files that there is a use for."""


class Taken(NamedTuple):
    """What was taken of a base."""

    sources: tuple[SourceFile, ...]
    licence: str


def lay(found: Sequence[Found], folder: Path, *, rules: SourceRules) -> Taken:
    """Copy, or write anew, what a base consists of into `folder`. Raises Rejected when it is none, or not one that is
    read here."""
    top = _topmost(found)
    packed = [file for name, file in top.items() if fnmatchcase(name, _GGUF)]
    kept = {name: file for name, file in top.items() if _is_one_of(name, _KEPT) and name != _ADAPTER}
    is_packed = bool(packed) and not any(name.endswith(".safetensors") for name in kept)
    if is_packed and len(packed) > 1:
        names = ", ".join(sorted(PurePosixPath(file.name).name for file in packed))
        raise Rejected(f"a base is one of these, by its whole name: {names}")
    used = packed if is_packed else list(kept.values())
    if is_packed:
        licence = gguf.unpack(packed[0].path, folder)
    else:
        _check_weights(found, top, kept)
        licence = licences.of_card(top[_CARD].path) if _CARD in top else ""
        for name, file in kept.items():
            shutil.copyfile(file.path, folder / name)
    return Taken(tuple(_lineage(file) for file in used), licence)


def _topmost(found: Sequence[Found]) -> dict[str, Found]:
    """The files that lie nearest to the top, by their own names: what is in folders below is of other sorts."""
    depth = min(len(PurePosixPath(file.name).parts) for file in found)
    return {
        PurePosixPath(file.name).name: file for file in found if len(PurePosixPath(file.name).parts) == depth
    }


def _check_weights(found: Sequence[Found], top: dict[str, Found], kept: dict[str, Found]) -> None:
    if not any(name.endswith(".safetensors") for name in kept):
        pickles = [file.name for file in found if _is_one_of(PurePosixPath(file.name).name, _PICKLES)]
        if pickles:
            raise Rejected(
                f"{PurePosixPath(pickles[0]).name} is a pickle, which can run any code when it is read, so it never "
                "is here; have its weights written as safetensors where that may happen, by `save_pretrained` of "
                "transformers, or take a revision or another base that has model.safetensors"
            )
        if _ADAPTER in top:
            raise Rejected(f"{_ADAPTER} is an adapter and no base; name what it was trained on top of")
        there = ", ".join(sorted(top)[:10])
        raise Rejected(f"there are no weights, as *.safetensors or one *.gguf; there is: {there}")
    if "config.json" not in kept:
        raise Rejected("there is no config.json, which says what sort of network the weights are of")


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _lineage(file: Found) -> SourceFile:
    with file.path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return SourceFile(path=file.name, digest=digest, size_bytes=file.path.stat().st_size)
