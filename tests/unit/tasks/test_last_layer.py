"""Losses of tokens by parts are those of all scores at once, whatever the network does behind its last layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional

from modelhall.networks._parts import Logits
from modelhall.stages.train.losses import cross_entropy
from modelhall.tasks import Criterion, _last_layer

WORDS = 50
SIZES: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def llama() -> nn.Module:
    config = transformers.LlamaConfig(**SIZES, intermediate_size=32, tie_word_embeddings=True)
    return transformers.AutoModelForCausalLM.from_config(config)


def bert() -> nn.Module:
    config = transformers.BertConfig(**SIZES, intermediate_size=32, **NO_DROPOUT)
    return transformers.AutoModelForMaskedLM.from_config(config)


def gemma() -> nn.Module:
    """Bends its scores behind the last layer."""
    config = transformers.Gemma2Config(**SIZES, intermediate_size=32, num_key_value_heads=1, head_dim=8)
    return transformers.AutoModelForCausalLM.from_config(config)


class Plain(nn.Module):
    """Does not say which layer is its last."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WORDS)

    def forward(self, input_ids: torch.Tensor) -> Logits:
        return Logits(self.words(input_ids))


def smoothed(scores: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(scores, told, label_smoothing=0.1)


@pytest.mark.parametrize("criterion", [smoothed, cross_entropy.make([], [])], ids=["smoothed", "plain"])
@pytest.mark.parametrize("make", [llama, bert, gemma, Plain])
@pytest.mark.parametrize("places", [1, 7, 1000])
def test_losses_and_gradients_by_parts_are_those_of_all_scores_at_once(
    make: Any, places: int, criterion: Criterion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_last_layer, "_PART_BYTES", places * WORDS * 4)
    torch.manual_seed(0)
    network = make()
    ids, wanted = torch.randint(0, WORDS, (3, 11)), torch.randint(0, WORDS, (3, 11))
    asked = torch.rand(3, 11) < 0.6

    def gradients(loss: torch.Tensor) -> list[torch.Tensor]:
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]

    inputs = {"input_ids": ids}
    whole = criterion(network(**inputs).logits[asked], wanted[asked])
    parts = _last_layer.loss(network, inputs, criterion, wanted=wanted, asked=asked)
    assert parts.item() == pytest.approx(whole.item(), rel=1e-5)
    found, expected = gradients(parts * 0.5), gradients(whole * 0.5)
    assert len(found) == len(expected)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, expected, strict=True))


def test_scores_are_told_as_ever_once_a_loss_was_computed() -> None:
    network, ids = llama().eval(), torch.randint(0, WORDS, (2, 5))
    before = network(input_ids=ids).logits
    _last_layer.loss(network, {"input_ids": ids}, functional.cross_entropy, wanted=ids, asked=ids >= 0)
    assert torch.equal(network(input_ids=ids).logits, before)


def test_a_last_layer_that_is_frozen_stays_so() -> None:
    network, ids = bert(), torch.randint(0, WORDS, (2, 5))
    layer = network.get_output_embeddings()  # type: ignore[operator]
    for parameter in layer.parameters():
        parameter.requires_grad = False
    loss = _last_layer.loss(network, {"input_ids": ids}, functional.cross_entropy, wanted=ids, asked=ids >= 0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in layer.parameters())
    assert any(parameter.grad is not None for parameter in network.parameters())


def test_the_loss_of_a_label_that_is_thought_impossible_is_large_and_finite() -> None:
    scores = torch.tensor([[0.0, 500.0], [0.0, 1.0]])
    loss, slope = cross_entropy.make([], []).slope(scores.clone(), torch.tensor([0, 1]))  # type: ignore[attr-defined]
    assert 40 < loss.item() < 500
    assert torch.allclose(slope[0], torch.tensor([-1.0, 1.0]))


def test_a_score_that_is_no_number_is_told_as_such() -> None:
    scores = torch.tensor([[0.0, torch.nan]])
    loss, _ = cross_entropy.make([], []).slope(scores, torch.tensor([0]))  # type: ignore[attr-defined]
    assert loss.isnan()


def test_where_nothing_is_asked_nothing_is_learnt() -> None:
    network, ids = llama(), torch.randint(0, WORDS, (2, 5))
    loss = _last_layer.loss(network, {"input_ids": ids}, functional.cross_entropy, wanted=ids, asked=ids < 0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    assert all(not parameter.grad.any() for parameter in network.parameters() if parameter.grad is not None)
