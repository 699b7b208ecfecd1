"""Pickles in disguise: under every name and ending that somebody loads."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import payloads
from hostile_parts import Made, Random, copy_of
from loading import CHECKPOINT, request, seal_checkpoint


def disguised(chance: Random, canary: Path) -> tuple[str, bytes]:
    call, wrap = chance.choice(payloads.calls(canary)), chance.choice(payloads.WRAPPINGS)
    data = wrap(call)
    if chance.random() < 0.2:
        data = gzip.compress(data)
    if chance.random() < 0.2:
        # A length before it, as safetensors has one.
        data = len(data).to_bytes(8, "little") + data
    return wrap.__name__, data


def pickle_in_a_model(chance: Random, folder: Path, canary: Path) -> Made:
    return _pickle_in(chance, copy_of(folder, "image"), canary)


def pickle_in_a_text_model(chance: Random, folder: Path, canary: Path) -> Made:
    return _pickle_in(chance, copy_of(folder, "text"), canary)


def _pickle_in(chance: Random, model: Path, canary: Path) -> Made:
    wrapped, data = disguised(chance, canary)
    there = [path.name for path in model.iterdir()]
    beside = [
        "pytorch_model.bin",
        "model.pt",
        "model.pkl",
        "model.npz",
        "training_args.bin",
        "adapter_model.bin",
    ]
    name = chance.choice(there + beside)
    (model / name).write_bytes(data)
    if name in beside and chance.random() < 0.7:
        # Nothing but the pickle to take the weights from.
        (model / "model.safetensors").unlink()
    return f"{wrapped} as {name}", model


def pickle_in_a_checkpoint(chance: Random, folder: Path, canary: Path) -> Made:
    place = copy_of(folder, "checkpoints")
    wrapped, data = disguised(chance, canary)
    if chance.random() < 0.7:
        seal_checkpoint(place, data)
        return f"{wrapped} with its digest", place
    name = chance.choice([f"{CHECKPOINT}.json", f"{CHECKPOINT}.safetensors", f"{CHECKPOINT}.pt"])
    (place / name).write_bytes(data)
    return f"{wrapped} as {name}", place


def pickle_in_a_request(chance: Random, folder: Path, canary: Path) -> Made:
    wrapped, data = disguised(chance, canary)
    path = folder / "body"
    body = data if chance.random() < 0.5 else json.dumps(request(data)).encode()
    path.write_bytes(body)
    return wrapped, path


def pickle_as_a_signature(chance: Random, folder: Path, canary: Path) -> Made:
    wrapped, data = disguised(chance, canary)
    shutil.copy(folder / "good" / "signing.pub", folder / "signing.pub")
    (folder / "model.sig").write_bytes(data)
    return wrapped, folder / "model.sig"


def pickle_as_data(chance: Random, folder: Path, canary: Path) -> Made:
    wrapped, data = disguised(chance, canary)
    name = "data" + chance.choice(DATA_SUFFIXES)
    (folder / name).write_bytes(data)
    return f"{wrapped} as {name}", folder / name


DATA_SUFFIXES = (
    ".csv",
    ".tsv",
    ".jsonl",
    ".parquet",
    ".png",
    ".csv.gz",
    ".npz",
    ".json",
    ".arrow",
    ".txt",
    ".wav",
)
