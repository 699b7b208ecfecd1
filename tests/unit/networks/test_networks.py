"""Networks: built to a shape, refused in words, stored without pickle, listed without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from modelhall import networks
from modelhall.core import plugins
from modelhall.core.errors import Broken, Rejected
from modelhall.core.kinds.model import Network
from modelhall.core.shape import Shape
from modelhall.networks._ngrams import Ngrams

IMAGES = Shape(
    head="image-classification", sizes={"channels": 1, "height": 8, "width": 6}, labels=("a", "b", "c")
)
TEXTS = Shape(
    head="sequence-classification", sizes={"vocabulary": 50, "length": 12, "pad": 0}, labels=("no", "yes")
)
SMALL = {"hidden": 16, "layers": 1, "heads": 2}
OF_NGRAMS = {**SMALL, "ngrams": 3, "buckets": 64}


def refused(network: Network, shape: Shape) -> Rejected:
    with pytest.raises(Rejected) as raised:
        networks.build(network, shape)
    return raised.value


def learnt(module: nn.Module) -> nn.Module:
    """A network in which no vector is zero, as after some steps."""
    for parameter in module.parameters():
        if not parameter.any():
            nn.init.normal_(parameter)
    return module.eval()


def test_a_cnn_gives_a_figure_for_every_label() -> None:
    network = networks.build(Network(family="cnn"), IMAGES)
    assert network(pixel_values=torch.zeros(5, 1, 8, 6)).logits.shape == (5, 3)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "electra", "gpt2", "llama"])
def test_a_model_type_of_transformers_is_built_small_and_takes_rows_of_full_length(family: str) -> None:
    network = networks.build(Network(family=family, **SMALL), TEXTS)
    ids = torch.randint(1, 50, (3, 12))
    assert network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.shape == (3, 2)
    assert network.config.hidden_size == 16
    assert sum(parameter.numel() for parameter in network.parameters()) < 20_000


def test_short_options_mean_the_same_for_every_type() -> None:
    options = {**SMALL, "feed_forward": 24, "dropout": 0.25, "positions": 20}
    bert = networks.build(Network(family="bert", **options), TEXTS).config
    gpt2 = networks.build(Network(family="gpt2", **options), TEXTS).config
    assert (bert.intermediate_size, bert.hidden_dropout_prob) == (24, 0.25)
    assert (gpt2.n_inner, gpt2.resid_pdrop, gpt2.n_embd) == (24, 0.25, 16)


def test_further_fields_of_a_configuration_go_by_their_own_names() -> None:
    network = Network(family="bert", **SMALL, config={"hidden_act": "relu"})
    assert networks.build(network, TEXTS).config.hidden_act == "relu"


def test_a_vision_model_of_transformers_takes_images() -> None:
    shape = Shape(
        head="image-classification", sizes={"channels": 1, "height": 8, "width": 8}, labels=("a", "b")
    )
    network = networks.build(Network(family="vit", **SMALL, config={"patch_size": 4}), shape)
    assert network(pixel_values=torch.zeros(2, 1, 8, 8)).logits.shape == (2, 2)


@pytest.mark.parametrize(
    ("network", "shape", "field", "says"),
    [
        (Network(family="brt"), TEXTS, "network", "did you mean 'bert'"),
        (Network(family="bert", hiden=3), TEXTS, "network.hiden", "did you mean 'hidden'"),
        (Network(family="bert", hidden="big"), TEXTS, "network.hidden", "integer"),
        (
            Network(family="bert", config={"hidden_atc": "relu"}),
            TEXTS,
            "network.config.hidden_atc",
            "hidden_act",
        ),
        (Network(family="bert", hidden=15, layers=1, heads=4), TEXTS, "network", "15"),
        (Network(family="bert", positions=5), TEXTS, "network.positions", "12"),
        (Network(family="bert"), IMAGES, "network.family", "no head for image-classification"),
        (Network(family="cnn"), TEXTS, "network.family", "no head for sequence-classification"),
        (Network(family="cnn", channels=[4, 4, 4, 4, 4]), IMAGES, "network.channels", "halved"),
        (Network(family="cnn", channels=[]), IMAGES, "network.channels", "at least one"),
        (Network(family="cnn", dropout=1.0), IMAGES, "network.dropout", "1.0"),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_would_do(
    network: Network, shape: Shape, field: str, says: str
) -> None:
    error = refused(network, shape)
    assert error.field == field
    assert says in error.message


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (Network(family="cnn"), IMAGES),
        (Network(family="transformer", **OF_NGRAMS), TEXTS),
        (Network(family="bert", **SMALL), TEXTS),
        (Network(family="gpt2", **SMALL), TEXTS),
    ],
)
def test_a_stored_network_is_the_same_again(network: Network, shape: Shape, tmp_path: Path) -> None:
    built = networks.build(network, shape)
    networks.save(built, network, shape, tmp_path)
    loaded = networks.load(tmp_path)
    assert not loaded.training
    for name, tensor in built.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_a_folder_without_a_network_is_broken(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        networks.load(tmp_path)


def test_families_are_listed_and_checked_without_torch_or_transformers() -> None:
    program = (
        "import json, sys; from modelhall.core import plugins; names = plugins.names('network');"
        "plugins.check_options('network', 'bert', 'build', {'hidden': 8}, field='network');"
        "print(json.dumps([names, [m for m in ('torch', 'transformers', 'numpy') if m in sys.modules]]))"
    )
    names, imported = json.loads(subprocess.check_output([sys.executable, "-c", program]))
    assert {"cnn", "bert", "gpt2", "xlm-roberta"} <= set(names)
    assert imported == []


def test_a_cnn_is_loaded_without_transformers(tmp_path: Path) -> None:
    network = Network(family="cnn")
    networks.save(networks.build(network, IMAGES), network, IMAGES, tmp_path)
    program = (
        "import sys, pathlib; from modelhall import networks; networks.load(pathlib.Path(sys.argv[1]));"
        "print('transformers' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", program, str(tmp_path)]).strip() == b"False"


def test_own_families_are_files_of_this_folder() -> None:
    assert plugins.load("network", "cnn").__name__ == "modelhall.networks.cnn"
    assert plugins.load("network", "bert").__name__ == "modelhall.networks._transformers"


ROWS = Shape(head="tabular-regression", sizes={"features": 5})
NEXT = TEXTS.model_copy(update={"head": "causal-lm", "labels": ()})
MASKED = TEXTS.model_copy(update={"head": "masked-lm", "labels": ()})


@pytest.mark.parametrize("family", ["linear", "mlp"])
def test_a_row_of_a_table_gives_a_number_and_a_picture_a_figure_for_every_label(family: str) -> None:
    assert networks.build(Network(family=family), ROWS)(features=torch.zeros(4, 5)).logits.shape == (4, 1)
    of_pictures = networks.build(Network(family=family), IMAGES)
    assert of_pictures(pixel_values=torch.zeros(4, 1, 8, 6)).logits.shape == (4, 3)


def test_a_resnet_gives_a_figure_for_every_label_of_small_pictures() -> None:
    network = networks.build(Network(family="resnet", blocks=1, channels=4), IMAGES)
    assert network(pixel_values=torch.zeros(5, 1, 8, 6)).logits.shape == (5, 3)


@pytest.mark.parametrize(
    "network",
    [
        Network(family="transformer", **SMALL),
        Network(family="transformer", **OF_NGRAMS),
        Network(family="rnn", hidden=8, cell="rnn"),
        Network(family="rnn", hidden=8, cell="lstm", layers=2, bidirectional=True),
        Network(family="rnn", hidden=8, cell="gru"),
    ],
)
def test_padding_changes_no_answer(network: Network) -> None:
    module = learnt(networks.build(network, TEXTS))
    ids = torch.randint(1, 50, (2, 9))
    padded = torch.cat([ids, torch.zeros(2, 3, dtype=torch.int64)], dim=1)
    mask = (padded > 0).long()
    alone = module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert alone.shape == (2, 2)
    torch.testing.assert_close(module(input_ids=padded, attention_mask=mask).logits, alone)


@pytest.mark.parametrize(
    "network",
    [
        Network(family="transformer", **SMALL),
        Network(family="transformer", **OF_NGRAMS),
        Network(family="rnn", hidden=8),
    ],
)
def test_what_continues_a_text_never_sees_what_follows(network: Network) -> None:
    module = learnt(networks.build(network, NEXT))
    ids = torch.randint(1, 50, (1, 12))
    other = ids.clone()
    other[0, 7:] = torch.randint(1, 50, (5,))
    mask = torch.ones_like(ids)
    one, two = (module(input_ids=given, attention_mask=mask).logits for given in (ids, other))
    assert one.shape == (1, 12, 50)
    torch.testing.assert_close(one[0, :7], two[0, :7])
    assert not torch.allclose(one[0, 7:], two[0, 7:])


def test_the_same_ngram_adds_the_same_vector_wherever_it_stands_and_another_order_another() -> None:
    ngrams = learnt(Ngrams(3, 1 << 20, 16, pad=0, dropout=0.5))
    first, second = ngrams(torch.tensor([[3, 7, 9, 4], [5, 3, 7, 9]]))
    torch.testing.assert_close(first[2], second[3])
    for other in ([3, 9, 7, 4], [8, 7, 9, 4], [7, 9, 9, 4]):
        assert not torch.allclose(first[2], ngrams(torch.tensor([other]))[0, 2])


def test_ngrams_that_were_never_learnt_add_nothing() -> None:
    ngrams = Ngrams(4, 64, 16, pad=0, dropout=0.0)
    assert ngrams(torch.randint(1, 50, (2, 5))).abs().max() == 0


def test_an_encoder_sees_both_sides() -> None:
    module = networks.build(Network(family="transformer", **SMALL), MASKED).eval()
    ids = torch.randint(1, 50, (1, 12))
    other = ids.clone()
    other[0, 11] = 50 - ids[0, 11]
    mask = torch.ones_like(ids)
    one, two = (module(input_ids=given, attention_mask=mask).logits[0, 0] for given in (ids, other))
    assert not torch.allclose(one, two)


@pytest.mark.parametrize(
    ("network", "shape", "field"),
    [
        (Network(family="linear"), TEXTS, "network.family"),
        (Network(family="mlp", hidden=[]), ROWS, "network.hidden"),
        (Network(family="mlp", activation="rellu"), ROWS, "network.activation"),
        (Network(family="resnet"), TEXTS, "network.family"),
        (Network(family="rnn", bidirectional=True), NEXT, "network.bidirectional"),
        (Network(family="transformer", hidden=10, heads=4), TEXTS, "network.hidden"),
        (Network(family="transformer", dropout=1.0), TEXTS, "network.dropout"),
        (Network(family="transformer", ngrams=0), TEXTS, "network.ngrams"),
        (Network(family="transformer", ngrams=2, buckets=0), TEXTS, "network.buckets"),
    ],
)
def test_what_a_family_cannot_be_is_refused_with_its_field(
    network: Network, shape: Shape, field: str
) -> None:
    assert refused(network, shape).field == field
