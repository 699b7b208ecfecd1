"""A replica of a hall that signs: it loads what was signed as the version it serves, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from test_replica import Replica, png, start

from modelhall import networks, tasks
from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.signature import model_signing
from modelhall.core.errors import Rejected
from modelhall.core.kinds.model import Network
from modelhall.core.kinds.service import Batching
from modelhall.core.orders import SIGNATURE_FILE, ServeOrder
from modelhall.core.program import Order, Reporter
from modelhall.serving.replica import carry_out
from modelhall.trust.signing import KeyFolder

VERSION, OTHER = "ab" * 32, "cd" * 32


class Home:
    """Blobs with small models in them, and the keys they are signed with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = KeyFolder(folder / "keys")
        self.blobs = open_blobs(f"folder://{folder}/blobs")
        frame = pl.DataFrame(
            {"image": [png(value) for value in range(0, 250, 10)], "label": ["a", "b", "c"] * 8 + ["a"]}
        )
        self._task = tasks.fit("image-classification", {"train": frame}, {})

    def model(self, name: str, seed: int) -> Path:
        """A folder with a network of random weights."""
        made = self.folder / name
        made.mkdir()
        network = Network(family="cnn", channels=[4], hidden=8)
        torch.manual_seed(seed)
        networks.save(networks.build(network, self._task.shape), network, self._task.shape, made)
        self._task.save(made)
        return made

    def signature(self, model: Path, keys: KeyFolder | None = None) -> str:
        """The artifact of a signature over a model's folder, by its name."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        (place / SIGNATURE_FILE).write_bytes(model_signing.sign(model, (keys or self.keys).private()))
        return self.blobs.put_folder(place)

    def order(self, run: str, artifact: str, **what: Any) -> Order:
        """An order to serve it as VERSION."""
        serve = ServeOrder(
            service="shades", version=VERSION, artifact=artifact, task="image-classification", engine="torch",
            batching=Batching(max_size=8), public_key=self.keys.current().pem, **what,
        )  # fmt: skip
        places = {name: self.folder / run / name for name in ("work", "state", "cache")}
        for place in places.values():
            place.mkdir(parents=True)
        blobs = f"folder://{self.folder}/blobs"
        made = Order(run=run, attempt=1, what=serve.model_dump(), blobs=blobs, threads=1, **places)
        (made.work / "order.json").write_text(made.model_dump_json())
        return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("signed"))


@pytest.fixture(scope="module")
def model(home: Home) -> Path:
    return home.model(VERSION, seed=1)


def refused(order: Order) -> str:
    """Why a replica does not come up."""
    with pytest.raises(Rejected) as raised:
        carry_out(order, Reporter(order.work))
    assert not (order.work / "report.json").exists()
    return str(raised.value)


def test_a_version_that_was_signed_is_served(home: Home, model: Path) -> None:
    order = home.order("good", home.blobs.put_folder(model), signature=home.signature(model))
    replica: Replica = start(order)
    try:
        assert replica.http.get("/v2/health/ready").status_code == 200
    finally:
        replica.process.kill()
        replica.process.wait()


def test_a_version_that_was_never_signed_is_refused(home: Home, model: Path) -> None:
    order = home.order("unsigned", home.blobs.put_folder(model))
    command = [sys.executable, "-m", "modelhall.serving", str(order.work / "order.json")]
    assert subprocess.run(command, timeout=60, stderr=subprocess.DEVNULL).returncode == 2
    assert not (order.work / "report.json").exists()
    problem = json.loads((order.work / "result.json").read_text())["problem"]
    assert problem["message"].startswith(f"version {VERSION[:8]} was never signed")
    assert problem["who"] == "caller"


def test_files_that_are_whole_but_are_not_those_that_were_signed_are_refused(home: Home, model: Path) -> None:
    """What the digest of an artifact cannot tell: somebody has put another artifact in its place."""
    signature = home.signature(model)
    forged = home.model("forged", seed=2)
    why = refused(home.order("forged-run", home.blobs.put_folder(forged), signature=signature))
    assert "model.safetensors was changed since it was signed" in why
    assert "`hall verify`" in why


def test_another_signed_version_is_refused_in_this_ones_place(home: Home) -> None:
    other = home.model(OTHER, seed=3)
    why = refused(home.order("swapped", home.blobs.put_folder(other), signature=home.signature(other)))
    assert f"the signature is for '{OTHER}'" in why


def test_what_somebody_elses_key_has_signed_is_refused(home: Home, model: Path, tmp_path: Path) -> None:
    signature = home.signature(model, KeyFolder(tmp_path / "keys"))
    assert "not with the hall's" in refused(
        home.order("foreign", home.blobs.put_folder(model), signature=signature)
    )
