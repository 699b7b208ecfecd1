"""GGUF: unpacked to what transformers computes with, and nothing in it believed that there is no room for."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bases
import torch
import transformers
from safetensors.torch import load_file

from modelhall.core.errors import Rejected
from modelhall.core.orders import FetchOrder
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import fetch
from modelhall.stages.fetch import gguf as hall_gguf
from modelhall.stages.fetch import gguf_header
from modelhall.tasks import _vocabularies

gguf = pytest.importorskip("gguf", reason="the extra `llm` is not installed")
Orders = Callable[..., Order]
HEADS, OF_KEYS = 4, 2
WIDE = 32


def packed(path: Path, base: Path, **fields: Any) -> Path:
    """A base written as llama.cpp has it, its matrices in blocks of eight bits."""
    config = transformers.AutoConfig.from_pretrained(base)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_license("mit")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(OF_KEYS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(5000.0)
    _add_tokenizer(writer, base, **fields)
    names = {new: old for old, new in hall_gguf._NAMES.items()}
    for name, tensor in load_file(base / "model.safetensors").items():
        parts = name.removesuffix(".weight").split(".")
        layer = f"blk.{parts[2]}." if parts[1] == "layers" else ""
        own = names[".".join(parts[3:]) if layer else ".".join(parts)]
        values = tensor.numpy()
        if own in ("attn_q", "attn_k"):
            values = _turned(values, HEADS if own == "attn_q" else OF_KEYS)
        kind = gguf.GGMLQuantizationType.Q8_0 if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(f"{layer}{own}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any, base: Path, pre: str = "smollm") -> None:
    tokenizer = _vocabularies.read(base).tokenizer
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(words)
    writer.add_token_types([3, *[1] * (len(words) - 1)])
    model = json.loads((base / "tokenizer.json").read_text())["model"]
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_eos_token_id(0)
    writer.add_chat_template(tiny_bases.TEMPLATE)


def _turned(rows: np.ndarray, heads: int) -> np.ndarray:
    """As llama.cpp turns what it takes over."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    sizes = {
        "hidden_size": WIDE, "intermediate_size": 64, "num_attention_heads": HEADS, "num_key_value_heads": OF_KEYS,
        "rope_theta": 5000.0,
    }  # fmt: skip
    return tiny_bases.llama(tmp_path / "base", **sizes)


def refusal(order: Orders, path: Path) -> str:
    made = order(FetchOrder(base=str(path)))
    with pytest.raises(Rejected) as caught:
        fetch.carry_out(made, Reporter(made.work))
    assert caught.value.field == "base"
    return caught.value.message


def test_what_is_packed_computes_as_what_it_was_packed_from(
    order: Orders, base: Path, tmp_path: Path
) -> None:
    asked = order(FetchOrder(base=str(packed(tmp_path / "tiny.gguf", base))))
    made = fetch.carry_out(asked, Reporter(asked.work))
    assert made["licence"] == "mit"
    assert [Path(file["path"]).name for file in made["sources"]] == ["tiny.gguf"]
    row = torch.tensor([[5, 6, 7, 8, 9]])
    with unpacked(asked, made["artifact"]) as folder, torch.inference_mode():
        loaded = transformers.AutoModelForCausalLM.from_pretrained(folder)
        vocabulary = _vocabularies.read(folder)
        apart = loaded(row).logits - transformers.AutoModelForCausalLM.from_pretrained(base)(row).logits
    assert loaded.dtype == torch.float32
    assert apart.abs().max() < 0.02, "eight bits are not thirty-two"
    assert vocabulary.template == tiny_bases.TEMPLATE
    assert vocabulary.token("eos") == 0
    was = _vocabularies.read(base).tokenizer
    assert vocabulary.tokenizer.encode("ask the tide").ids == was.encode("ask the tide").ids
    assert vocabulary.tokenizer.decode(vocabulary.tokenizer.encode("the tide, 42!").ids) == "the tide, 42!"


def test_a_tokenizer_that_gguf_only_hints_at_is_refused(order: Orders, base: Path, tmp_path: Path) -> None:
    assert "Take its safetensors" in refusal(order, packed(tmp_path / "odd.gguf", base, pre="tekken"))


def test_another_architecture_is_refused(order: Orders, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "mamba")
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    assert "holds a 'mamba'" in refusal(order, path)


def test_of_several_files_one_has_to_be_named(order: Orders, base: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("a.gguf", "b.gguf"):
        packed(tmp_path / "two" / name, base)
    assert "by its whole name: a.gguf, b.gguf" in refusal(order, tmp_path / "two")


def test_a_header_that_promises_more_than_there_is_costs_nothing(base: Path, tmp_path: Path) -> None:
    data = packed(tmp_path / "tiny.gguf", base).read_bytes()
    path = tmp_path / "odd.gguf"
    harm = {
        b"GGUX" + data[4:]: "begins with",
        data[:8] + struct.pack("<Q", 2**60) + data[16:]: "too many",
        data[:16] + struct.pack("<Q", 2**60) + data[24:]: "too many",
        data[:24] + struct.pack("<Q", 2**60) + data[32:]: "goes on past the end",
        data[: len(data) // 2]: "overlaps another one, or the end",
        data[:40]: "goes on past the end",
    }
    for content, said in harm.items():
        path.write_bytes(content)
        with pytest.raises(Rejected, match=said):
            gguf_header.read(path)


def test_bytes_changed_at_random_are_read_or_refused_and_never_raise_anything_else(
    base: Path, tmp_path: Path
) -> None:
    data = bytearray(packed(tmp_path / "tiny.gguf", base).read_bytes())
    chance = np.random.default_rng(5)
    path = tmp_path / "odd.gguf"
    for _ in range(300):
        odd = bytearray(data)
        for place in chance.integers(0, 12_000, 3):
            odd[place] = chance.integers(0, 256)
        path.write_bytes(odd)
        try:
            gguf_header.read(path)
        except Rejected:
            continue
