"""A replica with adapters: it loads what is signed and stands on its base, and answers by the one it is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tellers import adapted, made

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.signature import model_signing
from modelhall.core import base_models
from modelhall.core.adapter_names import HEADER
from modelhall.core.errors import Rejected
from modelhall.core.kinds.service import Batching
from modelhall.core.orders import SIGNATURE_FILE, ServedAdapter, ServeOrder
from modelhall.core.program import Order
from modelhall.serving.app import Served, app_for
from modelhall.serving.batcher import Batcher
from modelhall.serving.loading import Loaded, load
from modelhall.trust.signing import KeyFolder

OWN, LEGAL = "aa" * 32, "bb" * 32


class Home:
    """Blobs with a base and adapters in them, and the keys they are signed with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = KeyFolder(folder / "keys")
        self.blobs = open_blobs(f"folder://{folder}/blobs")
        self.base = made(folder / "base")
        self.base_artifact = self.blobs.put_folder(self.base)
        self.runs = 0

    def adapter(self, name: str, seed: int, base: Path | None = None, **lora: Any) -> str:
        """The artifact of one, as training leaves it: without its base, which it names."""
        base = base or self.base
        folder = adapted(base, self.folder / name, seed=seed, **lora)
        shutil.rmtree(folder / base_models.BELOW)
        base_models.name(folder, self.blobs.put_folder(base))
        return self.blobs.put_folder(folder)

    def signature(self, name: str, version: str) -> str:
        """That of a folder as a version."""
        place = self.folder / f"{name}-signature"
        place.mkdir(exist_ok=True)
        signed = shutil.copytree(self.folder / name, self.folder / "signed" / version)
        (place / SIGNATURE_FILE).write_bytes(model_signing.sign(signed, self.keys.private()))
        shutil.rmtree(signed)
        return self.blobs.put_folder(place)

    def load(self, artifact: str, *, engine: str = "torch", **adapters: ServedAdapter) -> Loaded:
        self.runs += 1
        places = {name: self.folder / f"run-{self.runs}" / name for name in ("work", "state", "cache")}
        for place in places.values():
            place.mkdir(parents=True)
        what = ServeOrder(
            service="clerk", version=OWN, artifact=artifact, task="text-generation", engine=engine,
            batching=Batching(max_size=4), adapters=adapters,
        )  # fmt: skip
        blobs = f"folder://{self.folder}/blobs"
        order = Order(run="r", attempt=1, what=what.model_dump(), blobs=blobs, threads=1, **places)
        return load(order, what)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def legal(home: Home) -> str:
    return home.adapter("legal", seed=1, rank=4)


def served(artifact: str, **more: Any) -> ServedAdapter:
    return ServedAdapter(model="legal", version=LEGAL, number=2, artifact=artifact, **more)


@asynccontextmanager
async def asked(loaded: Loaded) -> AsyncIterator[httpx.AsyncClient]:
    """The replica's application over what was loaded, without a socket."""
    assert loaded.generation is not None
    there = {
        name: Served(LEGAL if name else OWN, model, Batcher(model.answer, max_size=4, max_delay_s=0.0))
        for name, model in loaded.models.items()
    }
    own = there.pop("")
    app = app_for("clerk", OWN, own.model, own.batcher, generation=loaded.generation, adapters=there)
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://r") as http:
            yield http
    finally:
        for one in (own, *there.values()):
            one.batcher.close()
        loaded.generation.worker.close()


@pytest.mark.anyio
async def test_both_protocols_answer_by_the_adapter_the_gateway_names_and_by_none_else(
    home: Home, legal: str
) -> None:
    body = {"model": "clerk:legal", "prompt": "the quick", "max_tokens": 8, "temperature": 0}
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["the quick"]}
    async with asked(home.load(home.base_artifact, legal=served(legal))) as http:
        told = {}
        for name in ("", "legal"):
            headers = {HEADER: name} if name else {}
            text = (await http.post("/v1/completions", content=json.dumps(body), headers=headers)).json()
            assert text["system_fingerprint"] == (LEGAL if name else OWN)[:12]
            infer = await http.post("/v2/models/clerk/infer", json={"inputs": [tensor]}, headers=headers)
            answer = infer.json()
            assert answer["model_name"] == ("clerk:legal" if name else "clerk")
            assert answer["model_version"] == (LEGAL if name else OWN)
            told[name] = text["choices"][0]["text"]
            assert answer["outputs"][0]["data"][0].startswith(told[name])
        assert told[""] != told["legal"]
        unknown = await http.post("/v1/completions", content=json.dumps(body), headers={HEADER: "lega"})
        assert (unknown.status_code, "did you mean 'legal'?" in unknown.text) == (404, True)


def test_an_adapter_of_another_base_is_refused_by_the_digests_of_both(home: Home, legal: str) -> None:
    other = made(home.folder / "other", hidden=32)
    foreign = home.adapter("foreign", seed=2, base=other, rank=2)
    for own in (legal, home.base_artifact):
        with pytest.raises(Rejected) as refused:
            home.load(own, foreign=served(foreign))
        assert refused.value.field == "adapters.foreign"
        assert home.base_artifact in refused.value.message
        assert home.blobs.put_folder(other) in refused.value.message
        assert "train both from one `base`, or serve them apart" in refused.value.message


def test_what_is_no_adapter_is_refused_beside_one(home: Home, legal: str) -> None:
    with pytest.raises(
        Rejected, match=r"adapter 'whole', version bbbbbbbb of legal, is a network of its own"
    ):
        home.load(legal, whole=served(home.base_artifact))


def test_each_adapter_has_to_be_signed_as_its_own_version(home: Home, legal: str) -> None:
    key = home.keys.current().pem
    good = home.signature("legal", LEGAL)
    home.adapter("forged", seed=3, rank=4)
    loaded = home.load(home.base_artifact, legal=served(legal, public_key=key, signature=good))
    assert loaded.generation is not None
    loaded.generation.worker.close()
    with pytest.raises(Rejected, match="version bbbbbbbb was never signed"):
        home.load(home.base_artifact, legal=served(legal, public_key=key))
    forged = home.blobs.put_folder(home.folder / "forged")
    with pytest.raises(Rejected, match=r"adapter_model.safetensors was changed since it was signed"):
        home.load(home.base_artifact, legal=served(forged, public_key=key, signature=good))


def test_an_engine_that_holds_no_adapters_says_which_one_does(home: Home, legal: str) -> None:
    pytest.importorskip("openvino_genai")
    with pytest.raises(
        Rejected, match="openvino-genai serves no adapters beside a model; `engine: torch` does"
    ):
        home.load(home.base_artifact, engine="openvino-genai", legal=served(legal))
