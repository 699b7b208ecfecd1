"""Bases as people publish them, very small: a Llama and a BERT of random weights, each with its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from modelhall.tasks import _byte_pairs, _wordpiece

WORDS = ("ask", "tell", "the", "tide", "bell", "rope", "is", "high", "low", "good", "bad", "lovely", "poor")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def llama(folder: Path, *, template: str | None = None, **config: Any) -> Path:
    """A causal language model with byte-level tokens, its head tied to its embeddings."""
    tokenizer = _byte_pairs.train([" ".join(WORDS)])
    sizes = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 128, **SMALL}
    fields = {**sizes, "tie_word_embeddings": True, "eos_token_id": 0, **config}
    torch.manual_seed(0)
    made = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields))
    return _save(made, tokenizer, folder, eos_token=_byte_pairs.END, chat_template=template)


def bert(folder: Path, head: str = "BertForMaskedLM", **config: Any) -> Path:
    """An encoder with word pieces."""
    tokenizer = _wordpiece.train([" ".join(WORDS)] * 3)
    sizes = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 32, **SMALL}
    torch.manual_seed(0)
    made = getattr(transformers, head)(transformers.BertConfig(**{**sizes, **config}))
    special = {f"{use}_token": word for use, word in _wordpiece.SPECIAL.items()}
    return _save(made, tokenizer, folder, **special)


def change_config(folder: Path, **fields: Any) -> None:
    """Have config.json say something else."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _save(module: Any, tokenizer: Tokenizer, folder: Path, **told: Any) -> Path:
    module.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    kept = {name: value for name, value in told.items() if value is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(kept))
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\nA base.\n")
    return folder
