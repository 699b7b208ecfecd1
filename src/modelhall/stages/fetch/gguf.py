"""GGUF: a whole model in one file, of llama.cpp. Of Llama and its kin, weights are unpacked to float32.

The file is taken apart by `gguf_header`; how its blocks of numbers are packed is known to the package `gguf`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.stages.fetch import gguf_header, licences
from modelhall.stages.fetch.gguf_header import Header

_ARCHITECTURE = "llama"
_OUTPUT = "output.weight"
_NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
"""What llama.cpp calls the parts of a Llama, and what transformers does."""
_CONTROL, _USER_DEFINED = 3, 4
"""Types of tokens that are no ordinary text."""
_SPECIAL = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


def unpack(path: Path, folder: Path) -> str:
    """Write config.json, model.safetensors and the tokenizer's files into `folder`; the licence it tells. Raises
    Rejected for a file that breaks the format's rules, or holds what is not read here."""
    header = gguf_header.read(path)
    found = header.fields.get("general.architecture")
    if found != _ARCHITECTURE:
        raise Rejected(
            f"{path.name} holds a {found!r}; read are GGUF files of {_ARCHITECTURE}. Take its safetensors instead"
        )
    files.write_json(folder / "config.json", _config(header))
    save_file(_tensors(path, header), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = _tokenizer(header)
    files.write_bytes(folder / "tokenizer.json", tokenizer.to_str().encode())
    files.write_json(folder / "tokenizer_config.json", _tokenizer_config(header))
    return licences.word(header.fields.get("general.license"))


def _config(header: Header) -> dict[str, Any]:
    def told(name: str, kind: type, otherwise: Any = None) -> Any:
        return header.field(f"{_ARCHITECTURE}.{name}", kind, otherwise)

    heads = told("attention.head_count", int)
    special = {f"{use}_token_id": _special(header, use) for use in ("bos", "eos", "pad")}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(header.field("tokenizer.ggml.tokens", list)),
        "hidden_size": told("embedding_length", int),
        "intermediate_size": told("feed_forward_length", int),
        "num_hidden_layers": told("block_count", int),
        "num_attention_heads": heads,
        "num_key_value_heads": told("attention.head_count_kv", int, heads),
        "max_position_embeddings": told("context_length", int),
        "rms_norm_eps": told("attention.layer_norm_rms_epsilon", float),
        "rope_theta": told("rope.freq_base", float, 10000.0),
        "tie_word_embeddings": _OUTPUT not in header.tensors,
        **special,
    }


def _tensors(path: Path, header: Header) -> dict[str, np.ndarray]:
    heads = header.field(f"{_ARCHITECTURE}.attention.head_count", int)
    of_keys = header.field(f"{_ARCHITECTURE}.attention.head_count_kv", int, heads)
    turned = {"attn_q": heads, "attn_k": of_keys}
    tensors = {}
    for name in header.tensors:
        *layer, part, sort = name.split(".")
        if part not in _NAMES or sort != "weight":
            raise Rejected(f"{path.name} has the tensor {name!r}, which no network of {_ARCHITECTURE} has")
        above = f"model.layers.{layer[1]}." if layer else ""
        values = gguf_header.read_tensor(path, header, name)
        tensors[f"{above}{_NAMES[part]}.weight"] = (
            _turned_back(values, turned[part], name) if part in turned else values
        )
    return tensors


def _turned_back(weights: np.ndarray, heads: int, name: str) -> np.ndarray:
    """Rows in the order transformers has them: llama.cpp turns pairs of neighbours by position, and transformers the
    two halves of a head."""
    rows, columns = weights.shape
    if heads < 1 or rows % (2 * heads):
        raise Rejected(f"the tensor {name!r} has {rows} rows, which are no {heads} heads")
    pairs = weights.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))


def _tokenizer(header: Header) -> Tokenizer:
    sort = header.field("tokenizer.ggml.model", str)
    splits = {
        "gpt-2": [],
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
    }
    before = header.field("tokenizer.ggml.pre", str, "gpt-2")
    if sort != "gpt2" or before not in splits:
        raise Rejected(
            f"its tokenizer is of the sort {sort}, {before}; read from GGUF are those of the sort gpt2, "
            f"{' or '.join(splits)}. Take its safetensors, with tokenizer.json, instead"
        )
    words = header.field("tokenizer.ggml.tokens", list)
    merges = [tuple(pair.split(" ")) for pair in header.field("tokenizer.ggml.merges", list)]
    types = header.field("tokenizer.ggml.token_type", list, [])
    try:
        tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, merges))
    except Exception as error:  # noqa: BLE001 - the only class that tokenizers raises
        raise Rejected(f"its tokenizer is none: {error}") from None
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits[before], bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    for word, kind in zip(words, types, strict=False):
        if kind in (_CONTROL, _USER_DEFINED):
            token = AddedToken(word, special=kind == _CONTROL, normalized=False)
            (tokenizer.add_special_tokens if kind == _CONTROL else tokenizer.add_tokens)([token])
    return tokenizer


def _tokenizer_config(header: Header) -> dict[str, Any]:
    words = header.field("tokenizer.ggml.tokens", list)
    numbers = {use: _special(header, use) for use in _SPECIAL}
    special = {f"{use}_token": words[number] for use, number in numbers.items() if number is not None}
    template = header.field("tokenizer.chat_template", str, "")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": header.field(f"{_ARCHITECTURE}.context_length", int),
        **special,
        **({"chat_template": template} if template else {}),
    }


def _special(header: Header, use: str) -> int | None:
    """The number of a token that is no text, if it has one for this use."""
    number = header.fields.get(f"tokenizer.ggml.{_SPECIAL[use]}_token_id")
    known = isinstance(number, int) and 0 <= number < len(header.field("tokenizer.ggml.tokens", list))
    return number if known else None
