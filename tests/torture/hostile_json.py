"""JSON in a model that leads elsewhere, or is none; and files beside it that a library would follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import payloads
from hostile_parts import Made, Random, copy_of, torn


def config_that_leads_elsewhere(chance: Random, folder: Path, canary: Path) -> Made:
    model = copy_of(folder, "text")
    code = f"import os\nos.unlink({str(canary)!r})\nclass Evil: pass\n"
    (model / "modeling_evil.py").write_text(code)
    (model / "configuration_evil.py").write_text(code)
    config = json.loads((model / "config.json").read_text())
    auto = {
        "AutoConfig": "configuration_evil.Evil",
        "AutoModelForSequenceClassification": "modeling_evil.Evil",
    }
    about, change = chance.choice([
        ("auto_map", {"auto_map": auto}), ("auto_map and an unknown type", {"auto_map": auto, "model_type": "evil"}),
        ("trust_remote_code", {"trust_remote_code": True, "auto_map": auto}),
        ("another type", {"model_type": "gpt2"}),
        ("weights elsewhere", {"transformers_weights": "../../pytorch_model.bin"}), ("no type", {"model_type": None}),
        ("a path for a type", {"model_type": "../../evil"}), ("a kernel", {"_attn_implementation": "evil/kernel"}),
        ("an adapter", {"_adapter_model_path": "/tmp/evil", "peft_type": "LORA"}),
        ("quantization", {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}),
        ("huge layers", {"num_hidden_layers": 10**9}), ("huge width", {"hidden_size": 10**9}),
        ("negative", {"num_hidden_layers": -1}), ("not a number", {"hidden_size": "eval"}),
        ("no heads", {"num_attention_heads": 0}), ("activation", {"hidden_act": "os.system"}),
        ("dtype", {"dtype": "os.system"}), ("torch_dtype", {"torch_dtype": "hub.load"}),
        ("nested", {"text_config": config, "is_composition": True}), ("huge vocabulary", {"vocab_size": 2**40}),
        ("code in a label", {"id2label": {"0": "__import__('os')", "x": 1}}), ("labels", {"id2label": ["a"] * 10}),
    ])  # fmt: skip
    (model / "config.json").write_text(json.dumps({**config, **change}))
    return about, model


def files_that_transformers_would_follow(chance: Random, folder: Path, canary: Path) -> Made:
    model = copy_of(folder, "text")
    name, content = chance.choice([
        ("adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "/evil"}),
        ("model.safetensors.index.json", {"metadata": {}, "weight_map": {"a": "../../../evil.bin"}}),
        ("generation_config.json", {"custom_generate": "evil/generate"}), ("quantize_config.json", {"bits": 4}),
        ("pytorch_model.bin.index.json", {"weight_map": {"a": "pytorch_model.bin"}}),
    ])  # fmt: skip
    (model / name).write_text(json.dumps(content))
    (model / "pytorch_model.bin").write_bytes(payloads.as_torch(payloads.calls(canary)[1]))
    (model / "custom_generate").mkdir()
    (model / "custom_generate" / "generate.py").write_text(f"import os; os.unlink({str(canary)!r})")
    alone = chance.random() < 0.5
    if alone:
        (model / "model.safetensors").unlink()
    return f"{name}{' and no weights' if alone else ''}", model


def json_that_is_none(chance: Random, folder: Path, canary: Path) -> Made:
    return _json_in(chance, copy_of(folder, "image"))


def json_that_is_none_in_a_text_model(chance: Random, folder: Path, canary: Path) -> Made:
    return _json_in(chance, copy_of(folder, "text"))


def _json_in(chance: Random, model: Path) -> Made:
    path = chance.choice(sorted(model.glob("*.json")))
    data = path.read_bytes()
    value = json.loads(data)
    key = chance.choice(sorted(value))
    odd: list[Any] = [
        None,
        [],
        {},
        -1,
        10**18,
        "../../etc/passwd",
        "os.system",
        True,
        [[]] * 9,
        1e300,
        "x" * 10**5,
    ]
    about, new = chance.choice([
        ("deep", b'{"a":' * 50_000), ("deep lists", b"[" * 100_000), ("nan", b'{"%s": NaN}' % key.encode()),
        ("twice", data.rstrip()[:-1] + b', "%s": 1}' % key.encode()),
        ("huge number", b'{"a": ' + b"9" * 10_000 + b"}"),
        ("large", b'{"a": "' + b"x" * (70 << 20) + b'"}'), ("torn", torn(chance, data)[1]),
        *((f"{key} is {thing!r:.30}", json.dumps({**value, key: thing}).encode()) for thing in odd),
        (f"no {key}", json.dumps({name: part for name, part in value.items() if name != key}).encode()),
    ])  # fmt: skip
    path.write_bytes(new)
    return f"{path.name}: {about}", model


def tokenizer_that_is_another(chance: Random, folder: Path, canary: Path) -> Made:
    model = copy_of(folder, "text")
    path = model / "tokenizer.json"
    value = json.loads(path.read_text())
    regex = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "x" * 1000}
    about, change = chance.choice([
        ("a pattern without end", {"normalizer": regex}),
        ("growing text", {"normalizer": {"type": "Prepend", "prepend": "x" * 10**6}}),
        ("another model", {"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]] * 1000}}),
        ("a sequence without end", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [regex] * 1000}}),
        ("numbers beyond all", {"model": {**value["model"], "vocab": {"[UNK]": 2**62}}}),
        ("numbers twice", {"model": {**value["model"], "vocab": dict.fromkeys(value["model"]["vocab"], 0)}}),
        ("no words", {"model": {**value["model"], "vocab": {}}}),
        ("padding", {"padding": {"strategy": {"Fixed": 2**40}}}),
        ("truncation", {"truncation": {"max_length": 2**63}}),
        ("added", {"added_tokens": [{"id": -1, "content": ""}]}),
        ("long words", {"model": {**value["model"], "max_input_chars_per_word": 2**63}}),
    ])  # fmt: skip
    path.write_text(json.dumps({**value, **change}))
    return about, model
