"""What is pruned of a network: inner layers, in multiples of 8; what is left still computes and can be written."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from modelhall import networks
from modelhall.core.errors import Rejected
from modelhall.core.kinds.model import Network
from modelhall.core.shape import Shape
from modelhall.stages.compress.draft import Draft
from modelhall.stages.compress.graph import graph_of
from modelhall.stages.compress.methods import prune
from modelhall.stages.compress.tuning import Tuning
from modelhall.tasks import Batch

SIZES = {"vocabulary": 50, "length": 12, "pad": 0}
SHAPES = {
    "image": Shape(
        head="image-classification", sizes={"channels": 1, "height": 8, "width": 8}, labels=("a", "b")
    ),
    "text": Shape(head="sequence-classification", sizes=SIZES, labels=("a", "b")),
    "next": Shape(head="causal-lm", sizes=SIZES),
    "mask": Shape(head="masked-lm", sizes=SIZES),
}
SMALL = {"hidden": 16, "layers": 2, "heads": 2}


def batch_of(shape: Shape, rows: int) -> Batch:
    if "channels" in shape.sizes:
        return {"pixel_values": torch.randn(rows, 1, 8, 8)}
    ids = torch.randint(1, 50, (rows, 6))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def pruned(network: torch.nn.Module, shape: Shape) -> torch.nn.Module:
    """By half, without being trained on."""
    tuning = SimpleNamespace(inputs=batch_of(shape, 2), train=lambda network, **more: None)
    return prune.apply(Draft(network=network), cast(Tuning, tuning), share=0.5).network


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("family", "of", "options"),
    [
        ("cnn", "image", {}),
        ("resnet", "image", {"blocks": 1}),
        ("mlp", "image", {}),
        ("transformer", "text", SMALL),
        ("transformer", "text", {**SMALL, "ngrams": 3, "buckets": 64}),
        ("transformer", "next", SMALL),
        ("bert", "text", SMALL),
        ("bert", "mask", SMALL),
    ],
)
def test_what_is_left_computes_any_batch(family: str, of: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    shape = SHAPES[of]
    network = networks.build(Network(family=family, **options), shape).eval()
    before, as_it_was = count(network), copy.deepcopy(network.state_dict())
    left = pruned(network, shape)
    assert count(left) < 0.95 * before
    assert left(**batch_of(shape, 3)).logits.shape == network(**batch_of(shape, 3)).logits.shape
    assert len(graph_of(left, batch_of(shape, 2)).graph.node) > 0
    # Other ways begin with the same network.
    assert all(torch.equal(tensor, as_it_was[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("family", "of", "options"),
    [
        ("linear", "image", {}),
        ("rnn", "text", {"hidden": 16}),
        ("llama", "next", SMALL),
        ("gpt2", "next", SMALL),
    ],
)
def test_what_has_no_layer_to_prune_is_refused_in_a_moment(
    family: str, of: str, options: dict[str, Any]
) -> None:
    network = networks.build(Network(family=family, **options), SHAPES[of])
    with pytest.raises(Rejected, match="no layer that can be pruned"):
        pruned(network, SHAPES[of])


def test_what_weighs_least_goes() -> None:
    network = networks.build(Network(family="mlp", hidden=[16]), SHAPES["image"]).eval()
    with torch.no_grad():
        network.layers[0].weight[3:11] *= 1e-3  # type: ignore[union-attr,index]
        network.layers[0].bias[3:11] *= 1e-3  # type: ignore[union-attr,index]
    kept = torch.cat([network.layers[0].weight[:3], network.layers[0].weight[11:]])  # type: ignore[union-attr,index]
    assert torch.equal(pruned(network, SHAPES["image"]).layers[0].weight, kept)  # type: ignore[union-attr,index]
