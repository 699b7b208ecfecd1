"""The hall's real ways to load what may come from anywhere, and small files that they do load."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import torch
from PIL import Image
from safetensors.torch import save

from modelhall import networks, settings, tasks
from modelhall.adapters.signature import model_signing
from modelhall.app.keep.restore import restore
from modelhall.core import digest, hallfile
from modelhall.core.kinds.dataset import Format
from modelhall.core.kinds.model import Network
from modelhall.core.orders import PrepareOrder
from modelhall.core.program import Order, Reporter
from modelhall.serving.protocol import read_request
from modelhall.stages import prepare
from modelhall.stages.train.checkpoint import Checkpoints
from modelhall.tasks import Task

CHECKPOINT = "step-000000007"
HALL_FILE = "kind: dataset\nname: digits\nsource: digits.csv\nprepare:\n- clean: {strip_html: true}\n"


class Passed(Exception):
    """What was passed over, as a checkpoint that is none is, and so was not loaded."""


def good(folder: Path) -> Path:
    """Folders that load: `image` and `text` (a network and its task each), `checkpoints`; and files."""
    _image_model(folder / "image")
    _text_model(folder / "text")
    _checkpoint(folder / "checkpoints")
    (folder / "picture.png").write_bytes(picture())
    (folder / "hall.yaml").write_text(HALL_FILE)
    (folder / "request.json").write_text(json.dumps(request(picture())))
    return folder


def picture(form: str = "PNG", side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).save(buffer, format=form)
    return buffer.getvalue()


def request(data: bytes) -> dict[str, object]:
    text = base64.b64encode(data).decode()
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}]}


def load_image_model(folder: Path) -> None:
    tasks.load("image-classification", folder)
    networks.load(folder)


def load_text_model(folder: Path) -> None:
    tasks.load("text-classification", folder)
    networks.load(folder)


def load_checkpoint(folder: Path) -> None:
    if Checkpoints(folder, "key", kept=2).newest() is None:
        raise Passed("there is no whole checkpoint")


def answer_request(path: Path) -> None:
    """As a replica reads the body of a request."""
    task = _task_of(path.parent)
    asked = read_request(path.read_bytes(), task.inputs, task.outputs)
    task.read(asked.inputs)


def read_picture(path: Path) -> None:
    """As a replica reads a picture that a request holds."""
    (path.parent / "request.json").write_text(json.dumps(request(path.read_bytes())))
    answer_request(path.parent / "request.json")


def read_hall_file(path: Path) -> None:
    hallfile.parse(path.read_text(encoding="utf-8", errors="surrogateescape"), path.name)


def restore_backup(path: Path) -> None:
    asyncio.run(restore(settings.load({}, home=path.parent / "restored"), path))


def check_signature(path: Path) -> None:
    key = (path.parent / "signing.pub").read_text()
    model_signing.check(path.read_bytes(), path.parent, name=path.parent.name, public_key=key)


def prepare_data(path: Path) -> None:
    """As a data set's source is read."""
    places = {name: path.parent / name for name in ("work", "state", "cache")}
    for place in places.values():
        place.mkdir(exist_ok=True)
    what = PrepareOrder(source=str(path), format=Format(), prepare=(), max_damaged=0.0)
    blobs = f"folder://{path.parent}/blobs"
    order = Order(run="r", attempt=1, what=what.model_dump(mode="json"), blobs=blobs, threads=1, **places)
    prepare.carry_out(order, Reporter(order.work))


LOADERS: dict[str, Callable[[Path], None]] = {
    load.__name__: load
    for load in (
        load_image_model, load_text_model, load_checkpoint, answer_request, read_picture, read_hall_file,
        restore_backup, check_signature, prepare_data,
    )
}  # fmt: skip

_TASKS: dict[str, Task] = {}


def _task_of(folder: Path) -> Task:
    """An image task such as a replica has in memory."""
    if "image" not in _TASKS:
        frame = pl.DataFrame({"image": [picture()] * 4, "label": ["a", "b"] * 2})
        _TASKS["image"] = tasks.fit("image-classification", {"train": frame}, {})
    return _TASKS["image"]


def _image_model(folder: Path) -> None:
    folder.mkdir(parents=True)
    frame = pl.DataFrame({"image": [picture(side=side) for side in (8, 8, 9, 8)], "label": ["a", "b"] * 2})
    _store(
        tasks.fit("image-classification", {"train": frame}, {}),
        Network(family="cnn", channels=[2], hidden=4),
        folder,
    )


def _text_model(folder: Path) -> None:
    folder.mkdir(parents=True)
    frame = pl.DataFrame({"text": ["a good day", "a bad day"] * 4, "label": ["a", "b"] * 4})
    network = Network(family="bert", hidden=8, layers=1, heads=2)
    _store(tasks.fit("text-classification", {"train": frame}, {}), network, folder)


def _store(task: Task, network: Network, folder: Path) -> None:
    networks.save(networks.build(network, task.shape), network, task.shape, folder)
    task.save(folder)


def _checkpoint(folder: Path) -> None:
    folder.mkdir(parents=True)
    data = save({"random": torch.get_rng_state(), "network.w": torch.zeros(3, 4)})
    seal_checkpoint(folder, data)


def seal_checkpoint(folder: Path, data: bytes) -> None:
    """Write a checkpoint with this as its tensors, its digest being right: as somebody would who means harm."""
    (folder / f"{CHECKPOINT}.safetensors").write_bytes(data)
    facts = {"key": "key", "step": 7, "digest": digest.of_bytes(data), "facts": {"best_score": None}}
    (folder / f"{CHECKPOINT}.json").write_text(json.dumps(facts))
