"""Texts as vectors: what belongs together, and what is not held against a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import transformers
from torch.nn import functional

from modelhall import networks, tasks
from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Network
from modelhall.stages.train import losses
from modelhall.tasks import Predictions, _wordpiece

PAIRS = pl.DataFrame(
    {
        "anchor": ["the tide is high", "the bell", "the bell", "a rope"],
        "positive": ["high water", "a bell", "it rings", "a line"],
        "negative": ["low water", "a ball", "it sings", "a lion"],
        "score": [0.0, 0.5, 0.75, 1.0],
    }
)
THREE = {"negative": "negative"}
SCORED = {"other": "positive", "score": "score"}


def fitted(columns: dict[str, str], frame: pl.DataFrame = PAIRS) -> tasks.Task:
    return tasks.fit("embedding", {"train": frame}, columns)


def contrastive(**options: object) -> tasks.Criterion:
    return losses.make(Choice(name="contrastive", options=options), (), ())


def metric(name: str, predictions: Predictions) -> float:
    return float(plugins.load("metric", name).measure(predictions))


class Told:
    """A network that tells one vector for each text of a batch, whatever it says."""

    def __init__(self, vectors: list[list[float]]) -> None:
        self.logits = torch.tensor(vectors)

    def __call__(self, **batch: torch.Tensor) -> Told:
        assert len(batch["input_ids"]) == len(self.logits)
        return self


def test_the_loss_is_how_unlikely_each_row_finds_its_own() -> None:
    near = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.4, 0.8]])
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    by_hand = functional.cross_entropy(near / 0.1, torch.tensor([0, 1]))
    assert contrastive(temperature=0.1)(near, nothing).item() == pytest.approx(by_hand.item())
    back = functional.cross_entropy(near[:, :2].T / 0.1, torch.tensor([0, 1]))
    both = contrastive(temperature=0.1, both_ways=True)(near, nothing)
    assert both.item() == pytest.approx((by_hand + back).item() / 2)


def test_what_belongs_to_the_same_text_is_not_held_against_a_row() -> None:
    task = fitted({})
    batch = task.batch(task.examples("train", PAIRS), [1, 2, 3])
    x, y = [1.0, 0.0], [0.0, 1.0]
    # The first two rows have one anchor; each has its own answer, and that of the other is as near.
    loss = task.loss(Told([x, x, y, x, x, y]), batch, contrastive(temperature=0.01))
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_texts_that_only_look_as_if_they_belonged_are_held_against_it() -> None:
    task = fitted(THREE)
    batch = task.batch(task.examples("train", PAIRS), [0, 3])
    assert batch["input_ids"].shape[0] == 6
    x, y, z = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
    far, close = (
        task.loss(Told([x, y, x, y, *others]), batch, contrastive()).item() for others in ([z, z], [x, y])
    )
    assert far < 1e-6
    assert close > 0.5


def test_a_place_is_that_among_the_rows_of_the_whole_split() -> None:
    task = fitted({})
    examples = task.examples("train", PAIRS)
    x, y = np.eye(2, dtype=np.float32)
    # Anchors and what belongs to them; the last is nearer to what belongs to the others.
    vectors = np.stack([np.stack(pair) for pair in ((x, x), (x, x), (x, y), (x, y))])
    found = task.together(Predictions(predicted=[0] * 4, scores=vectors, truth=examples.truth))
    # The second and the third are one text: neither is held against the other.
    assert list(found.predicted) == [1, 1, 2, 3]
    assert metric("recall_at_1", found) == 0.5
    assert metric("recall_at_10", found) == 1.0
    assert metric("mean_reciprocal_rank", found) == pytest.approx((1 + 1 + 1 / 2 + 1 / 3) / 4)
    assert found.losses is not None
    assert (np.diff(found.losses) >= 0).all()


def test_rows_with_scores_are_learnt_by_the_cosine_and_measured_by_its_order() -> None:
    task = fitted(SCORED)
    assert tasks.losses_for("embedding", task) == ("mse", "mae")
    batch = task.batch(task.examples("train", PAIRS), [0, 3])
    x, y = [1.0, 0.0], [0.0, 1.0]
    told = Told([x, x, y, x])
    assert task.loss(told, batch, losses.make(Choice(name="mse"), (), ())).item() == 0
    assert task.predict(told, batch).predicted == [0.0, 1.0]
    rows = Predictions(predicted=[0.1, 0.2, 0.9], scores=np.zeros((3, 1)), truth=[0.0, 0.5, 0.6])
    assert metric("spearman", rows) == pytest.approx(1)
    with pytest.raises(Rejected, match="spearman"):
        metric("recall_at_1", rows)


def test_scores_are_shares() -> None:
    stars = PAIRS.with_columns(score=pl.Series([0, 3, 4, 5]))
    with pytest.raises(Rejected, match=r"from 0 to 5 .* score / 5") as raised:
        fitted(SCORED, stars).examples("train", stars)
    assert raised.value.field == "columns.score"


def test_an_answer_tells_how_much_of_a_text_was_read() -> None:
    task = tasks.fit("embedding", {"train": PAIRS}, {}, length=4)
    network = networks.build(Network(family="transformer", hidden=8, layers=1, heads=2), task.shape).eval()
    text = tasks.Tensor(name="text", datatype="BYTES", shape=(2,), data=["a", "the tide is high and rising"])
    embedding, tokens = task.answer(tasks.predict(task, network, task.read({"text": text}), batch=2))
    assert embedding.shape == (2, 8)
    assert list(tokens.data) == [3, 4]
    np.testing.assert_allclose(np.linalg.norm(np.reshape(embedding.data, (2, 8)), axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("family", ["bert", "modernbert", "llama", "rnn", "transformer"])
def test_padding_changes_no_vector(family: str) -> None:
    task = fitted({})
    sizes = {"hidden": 16, "layers": 1} | ({} if family == "rnn" else {"heads": 2})
    network = networks.build(Network(family=family, **sizes), task.shape).eval()
    texts = ["a rope", "the tide is high"]
    text = tasks.Tensor(name="text", datatype="BYTES", shape=(2,), data=texts)
    together, alone = (
        tasks.predict(task, network, task.read({"text": text}), batch=batch).scores for batch in (2, 1)
    )
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM"])
def test_a_base_tells_the_mean_of_its_last_layer(kind: str, tmp_path: Path) -> None:
    base = _bert(kind, tmp_path / "base")
    task = tasks.fit("embedding", {"train": PAIRS}, {}, base=base)
    started = networks.start(base, None, task.shape)
    batch = task.batch(task.read(task.sample()), [0])
    with torch.no_grad():
        told = started.module.eval()(**batch).logits
        plain = transformers.AutoModel.from_pretrained(base).eval()(**batch).last_hidden_state.mean(1)
    torch.testing.assert_close(told, plain)
    folder = tmp_path / "made"
    folder.mkdir()
    networks.save(started.module, started.network, task.shape, folder)
    with torch.no_grad():
        torch.testing.assert_close(networks.load(folder)(**batch).logits, told)


def _bert(kind: str, folder: Path) -> Path:
    tokenizer = _wordpiece.train([*PAIRS["anchor"], *PAIRS["positive"]])
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32,
    )  # fmt: skip
    getattr(transformers, kind)(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
