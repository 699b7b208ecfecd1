"""fetch: which bases are taken, and what is said of those that are not."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_bases
import torch
from safetensors.torch import load_file, save_file

from modelhall.core.errors import Rejected
from modelhall.core.orders import FetchOrder
from modelhall.core.ports.source import Reach, SourceRules
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import fetch

Orders = Callable[..., Order]


def fetched(order: Order) -> dict[str, Any]:
    return dict(fetch.carry_out(order, Reporter(order.work)))


def refusal(order: Orders, base: Path | str) -> str:
    with pytest.raises(Rejected) as caught:
        fetched(order(FetchOrder(base=str(base))))
    assert caught.value.field == "base"
    return caught.value.message


def test_a_base_is_taken_as_it_is_with_its_licence_and_the_digests_of_its_files(
    order: Orders, tmp_path: Path
) -> None:
    base = tiny_bases.llama(tmp_path / "base")
    (base / "training_args.bin").write_bytes(pickle.dumps({"lr": 1}))
    asked = order(FetchOrder(base=str(base)))
    made = fetched(asked)
    assert made["licence"] == "mit"
    names = {Path(file["path"]).name for file in made["sources"]}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    with unpacked(asked, made["artifact"]) as folder:
        assert {path.name for path in folder.iterdir()} == names
        assert (folder / "config.json").read_bytes() == (base / "config.json").read_bytes()


def test_the_same_files_elsewhere_are_the_same_base(order: Orders, tmp_path: Path) -> None:
    base = tiny_bases.bert(tmp_path / "one")
    shutil.copytree(base, tmp_path / "other")
    here, there = (fetched(order(FetchOrder(base=str(tmp_path / name)))) for name in ("one", "other"))
    assert here["artifact"] == there["artifact"]


def test_a_base_of_the_hub_is_read_from_the_mirror(order: Orders, tmp_path: Path) -> None:
    commit = "c0ffee"
    snapshot = tmp_path / "mirror" / "models--Some-Org--tiny" / "snapshots" / commit
    tiny_bases.llama(snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(commit)
    rules = SourceRules(reach=Reach(hf_mirror=str(tmp_path / "mirror")))
    asked = order(FetchOrder(base="hf://Some-Org/tiny")).model_copy(update={"sources": rules})
    made = fetched(asked)
    assert made["sources"][0]["path"] == f"hf://models/Some-Org/tiny@{commit}/config.json"
    with pytest.raises(Rejected, match="no Some-Org/other@main in the mirror"):
        fetched(asked.model_copy(update={"what": {"base": "hf://Some-Org/other"}}))


def test_weights_in_a_pickle_are_refused_with_what_would_do(order: Orders, tmp_path: Path) -> None:
    base = tiny_bases.llama(tmp_path / "base")
    torch.save({}, base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    said = refusal(order, base)
    assert "pytorch_model.bin is a pickle" in said
    assert "save_pretrained" in said


def test_a_folder_without_weights_or_with_an_adapter_alone_is_no_base(order: Orders, tmp_path: Path) -> None:
    base = tiny_bases.llama(tmp_path / "base")
    (base / "model.safetensors").rename(base / "adapter_model.safetensors")
    assert "is an adapter and no base" in refusal(order, base)
    (base / "adapter_model.safetensors").unlink()
    assert "there are no weights, as *.safetensors or one *.gguf; there is: README.md" in refusal(order, base)


def test_a_base_without_a_configuration_or_of_no_known_type_is_refused(order: Orders, tmp_path: Path) -> None:
    base = tiny_bases.llama(tmp_path / "base")
    tiny_bases.change_config(base, model_type="lama", auto_map={"AutoModel": "evil.Model"})
    said = refusal(order, base)
    assert "'lama'" in said
    assert "never run here" in said
    tiny_bases.change_config(base, model_type="llama", quantization_config={"bits": 4})
    assert "quantized" in refusal(order, base)
    (base / "config.json").unlink()
    assert "no config.json" in refusal(order, base)


@pytest.mark.parametrize("harm", ["overlap", "beyond", "no header", "two files"])
def test_weights_that_cannot_be_trusted_are_refused(order: Orders, tmp_path: Path, harm: str) -> None:
    base = tiny_bases.llama(tmp_path / "base")
    path = base / "model.safetensors"
    if harm == "two files":
        save_file({"model.norm.weight": load_file(path)["model.norm.weight"]}, base / "more.safetensors")
        assert "is in two files" in refusal(order, base)
        return
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    entry = header["model.norm.weight"]
    entry["data_offsets"] = {"overlap": [0, 64], "beyond": [2**40, 2**40 + 64]}.get(harm, [0, 64])
    text = json.dumps(header).encode() if harm != "no header" else b"\x80\x04cos\nsystem\n"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    assert "holds no weights that can be trusted" in refusal(order, base)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False},
         "a pattern that is not known"),
        ("normalizer", {"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 1000}, "long texts of short"),
        ("decoder", {"type": "CTC"}, "'CTC'"),
        ("model", {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "zz"]]}, "is no tokenizer"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_could_do_harm_is_refused(
    order: Orders, tmp_path: Path, part: str, value: Any, said: str
) -> None:
    base = tiny_bases.llama(tmp_path / "base")
    path = base / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: value}))
    assert said in refusal(order, base)
