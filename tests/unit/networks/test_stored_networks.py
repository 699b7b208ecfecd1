"""A stored network is its own files and nothing that they point to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from modelhall import networks
from modelhall.core.errors import HallError, Rejected
from modelhall.core.kinds.model import Network
from modelhall.core.shape import Shape

SHAPE = Shape(
    head="sequence-classification", sizes={"vocabulary": 50, "length": 12, "pad": 0}, labels=("no", "yes")
)
IMAGES = Shape(head="image-classification", sizes={"channels": 1, "height": 8, "width": 8}, labels=("a", "b"))
EVIL = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    network = Network(family="bert", hidden=16, layers=1, heads=2)
    networks.save(networks.build(network, SHAPE), network, SHAPE, folder)
    return folder


def with_config(stored: Path, tmp_path: Path, **change: Any) -> Path:
    folder = Path(shutil.copytree(stored, tmp_path / "changed"))
    config = {**json.loads((folder / "config.json").read_text()), **change}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auto_map": EVIL}, "'auto_map'"),
        ({"trust_remote_code": True}, "'trust_remote_code'"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "'quantization_config'"),
        ({"transformers_weights": "../other.bin"}, "'transformers_weights'"),
        ({"_attn_implementation": "someone/kernel"}, "'_attn_implementation'"),
        ({"model_type": "gpt2"}, "of the type 'gpt2'"),
        ({"model_type": "../evil"}, "of the type '../evil'"),
        ({"dtype": "os.system"}, "dtype 'os.system'"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers 1000000000"),
        ({"hidden_size": 10**9}, "is [16] in the file and [1000000000] in the network"),
        ({"hidden_size": "16"}, "no configuration of bert"),
        ({"hidden_act": "os.system"}, "os.system"),
        ({"vocab_size": 51}, "word_embeddings.weight"),
    ],
)
def test_a_configuration_that_asks_for_more_than_its_network_is_refused(
    change: dict[str, Any], said: str, stored: Path, tmp_path: Path
) -> None:
    with pytest.raises(Rejected) as raised:
        networks.load(with_config(stored, tmp_path, **change))
    assert said in raised.value.message


def test_files_that_a_library_would_follow_are_not_looked_at(stored: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored, tmp_path / "more"))
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "/evil"}')
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../evil"}}')
    (folder / "generation_config.json").write_text("no JSON")
    row = {"input_ids": torch.ones(1, 4, dtype=torch.long), "attention_mask": torch.ones(1, 4)}
    assert torch.equal(networks.load(folder)(**row).logits, networks.load(stored)(**row).logits)


def test_a_network_that_would_take_more_memory_than_its_file_is_refused_before_it_is_built(
    tmp_path: Path,
) -> None:
    network = Network(family="cnn", channels=[2], hidden=4)
    networks.save(networks.build(network, IMAGES), network, IMAGES, tmp_path)
    said = json.loads((tmp_path / "network.json").read_text())
    said["network"]["hidden"] = 2**40
    (tmp_path / "network.json").write_text(json.dumps(said))
    with pytest.raises(Rejected, match=r"'head\.2\.(bias|weight)'"):
        networks.load(tmp_path)


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    network = Network(family="cnn", channels=[2], hidden=4)
    networks.save(networks.build(network, IMAGES), network, IMAGES, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(save({"w": torch.zeros(2)}))
    with pytest.raises(Rejected, match="the tensor"):
        networks.load(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"network": 1, "shape": 2}', '{"a": 1, "a": 2}', '{"a": NaN}']
)
def test_a_network_json_that_is_none_is_refused_in_words(text: str, tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text(text)
    with pytest.raises(Rejected, match=r"network\.json"):
        networks.load(tmp_path)


def test_a_folder_without_a_network_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(HallError, match=r"network\.json"):
        networks.load(tmp_path)
