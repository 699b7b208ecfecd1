"""Networks while they learn: leaner, and the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from modelhall import networks

SIZES: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip
GPT2: dict[str, Any] = {
    "vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
    "attn_pdrop": 0.0, "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip
CONFIGS = {
    "llama": (lambda: transformers.LlamaConfig(**SIZES), 5),
    "gpt2": (lambda: transformers.GPT2Config(**GPT2), 2),
    # Its weights are distances from 1, which the stand-in for a normalisation does not know.
    "gemma": (lambda: transformers.GemmaConfig(**SIZES, num_key_value_heads=1, head_dim=8), 0),
}


def gradients(network: nn.Module, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    network.zero_grad()
    network(input_ids=ids, labels=ids).loss.backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_network_learns_the_same_in_fewer_passes(kind: str) -> None:
    torch.manual_seed(0)
    config, stand_ins = CONFIGS[kind]
    network = transformers.AutoModelForCausalLM.from_config(config())
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    ids = torch.randint(0, 50, (2, 9))
    before = gradients(network, ids)
    with networks.learning(network):
        assert sum("forward" in vars(part) for part in network.modules()) == stand_ins
        assert not network.config.use_cache
        learning = gradients(network, ids)
    assert all(torch.allclose(learning[name], before[name], atol=1e-6) for name in before)
    assert network.config.use_cache
    assert not any("forward" in vars(part) for part in network.modules())


def test_the_chance_of_a_training_is_not_touched() -> None:
    network = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**SIZES))
    before = torch.get_rng_state()
    with networks.learning(network):
        pass
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("length", [64, 128, 320, 130])
def test_attention_by_blocks_learns_the_same(kind: str, length: int) -> None:
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(CONFIGS[kind][0]())
    ids = torch.randint(0, 50, (2, length))
    before = gradients(network, ids)
    with networks.learning(network):
        assert network.config._attn_implementation == "by-blocks"
        learning = gradients(network, ids)
    assert all(torch.allclose(learning[name], before[name], atol=1e-5) for name in before)
    assert network.config._attn_implementation == "sdpa"


def test_what_is_hidden_stays_hidden_from_attention_by_blocks() -> None:
    """Rows of unequal length are padded, which only the usual way knows."""
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**SIZES))
    ids, mask = torch.randint(0, 50, (2, 128)), torch.ones(2, 128, dtype=torch.int64)
    mask[1, :100] = 0
    before = network(input_ids=ids, attention_mask=mask).logits
    with networks.learning(network):
        learning = network(input_ids=ids, attention_mask=mask).logits
    assert torch.allclose(learning[0], before[0], atol=1e-5)
    assert torch.allclose(learning[1, 100:], before[1, 100:], atol=1e-5)
