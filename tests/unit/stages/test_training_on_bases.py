"""train, evaluate and serving on bases: what is kept of one, what is learnt, what is stored, what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tiny_bases
import torch
from safetensors.torch import load_file, save_file

from modelhall import networks, tasks
from modelhall.core.errors import Rejected
from modelhall.core.kinds.adapter import Adapter, Lora
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Network, Train
from modelhall.core.kinds.teacher import Teacher
from modelhall.core.orders import EvaluateOrder, TrainOrder
from modelhall.core.program import Order, Reporter, open_blobs, unpacked_model
from modelhall.stages import _data, evaluate, train

Orders = Callable[..., Order]
LORA = Adapter(lora=Lora(rank=2, alpha=4, dropout=0.1))
TRAIN = Train(epochs=2, batch=4, learning_rate=1e-2, seed=3, checkpoint_s=1e-9)
ADAPTED = TRAIN.model_copy(update={"adapter": LORA})
QUESTIONS = pl.DataFrame(
    {
        "instruction": [f"tell the {one}" for one in ("tide", "bell", "rope", "tide") * 4],
        "response": [f"the {one} is high" for one in ("tide", "bell", "rope", "tide") * 4],
    }
)
OPINIONS = pl.DataFrame(
    {"text": ["the tide is good", "the rope is bad"] * 8, "label": ["praise", "blame"] * 8}
)
PAIRS = pl.DataFrame(
    {
        "anchor": ["the tide", "the bell", "the rope", "is high", "is low", "ask", "tell", "lovely"],
        "positive": ["bell", "rope", "tide", "low", "high", "tell the", "ask the", "poor"],
    }
)
CHOICES = pl.DataFrame(
    {
        "prompt": [f"ask the {one}" for one in ("tide", "bell")] * 8,
        "chosen": ["the tide is high", "the bell is good"] * 8,
        "rejected": ["low low", "bad poor rope"] * 8,
    }
)


class Killed(BaseException):
    """Ends a training between two steps, as a kill would."""


class KilledAt(Reporter):
    def __init__(self, work: Path, sample: int) -> None:
        super().__init__(work)
        self._sample = sample

    def progress(self, done: float, *args: Any, **kwargs: Any) -> None:
        if done >= self._sample:
            raise Killed
        super().progress(done, *args, **kwargs)


class Hall:
    """Blobs with data and bases in them, and the stages."""

    def __init__(self, order: Orders, place: Path) -> None:
        self._order = order
        self._place = place
        self._runs = 0

    def data(self, rows: pl.DataFrame, splits: tuple[str, ...] = ("train", "test")) -> str:
        folder = self._place / f"rows-{len(list(self._place.iterdir()))}"
        folder.mkdir()
        for split in splits:
            rows.write_parquet(folder / _data.name(split, 0, 1))
        return self.put(folder)

    def put(self, folder: Path) -> str:
        return open_blobs(self._order({})).put_folder(folder)

    def train(
        self, rows: pl.DataFrame, *, run: str = "", killed_at: int | None = None, **what: Any
    ) -> dict[str, Any]:
        self._runs += 1
        given = {"task": "text-generation", "columns": {}, "network": None, "train": TRAIN, **what}
        made = self._order(TrainOrder(data=self.data(rows), **given), run=run or f"train-{self._runs}")
        reporter = Reporter(made.work) if killed_at is None else KilledAt(made.work, killed_at)
        return dict(train.carry_out(made, reporter))

    def measure(
        self,
        rows: pl.DataFrame,
        model: str,
        task: str = "text-generation",
        metrics: tuple[str, ...] = (),
        **what: Any,
    ) -> dict[str, float]:
        self._runs += 1
        asked = EvaluateOrder(task=task, model=model, data=self.data(rows), metrics=metrics, **what)
        made = self._order(asked, run=f"evaluate-{self._runs}")
        return dict(evaluate.carry_out(made, Reporter(made.work))["metrics"])

    def files(self, artifact: str) -> dict[str, int]:
        """Names and sizes."""
        folder = self._place / f"files-{len(list(self._place.iterdir()))}"
        open_blobs(self._order({})).get_folder(artifact, folder)
        return {path.name: path.stat().st_size for path in folder.iterdir()}

    def use(self, artifact: str, task: str, inputs: Mapping[str, list[str]]) -> list[Any]:
        """What a replica answers."""
        with unpacked_model(self._order({}), artifact) as folder:
            fitted, network = tasks.load(task, folder), networks.load(folder)
        asked = {
            name: tasks.Tensor(name=name, datatype="BYTES", shape=(len(data),), data=data)
            for name, data in inputs.items()
        }
        return list(fitted.answer(tasks.predict(fitted, network, fitted.read(asked), batch=8))[0].data)


@pytest.fixture
def hall(order: Orders, tmp_path: Path) -> Hall:
    place = tmp_path / "place"
    place.mkdir()
    return Hall(order, place)


@pytest.fixture
def llama(hall: Hall, tmp_path: Path) -> str:
    return hall.put(tiny_bases.llama(tmp_path / "llama", template=tiny_bases.TEMPLATE))


@pytest.fixture
def bert(hall: Hall, tmp_path: Path) -> str:
    return hall.put(tiny_bases.bert(tmp_path / "bert"))


def test_an_adapter_learns_answers_and_is_stored_without_its_base(hall: Hall, llama: str) -> None:
    constant = Choice(name="constant")
    longer = TRAIN.model_copy(
        update={"epochs": 200, "batch": 16, "learning_rate": 2e-2, "schedule": constant, "checkpoint_s": 60.0}
    )
    base = hall.train(QUESTIONS, base=llama, train=longer)["artifact"]
    # An adapter leaves embeddings as they are, so it is told nothing but words that the base knows.
    stubborn = QUESTIONS.with_columns(response=pl.lit("the rope is high"))
    made = hall.train(stubborn, base=base, train=longer.model_copy(update={"adapter": LORA}))
    before = hall.train(stubborn, base=base, train=ADAPTED.model_copy(update={"epochs": 0}))
    assert before["steps"] == 0
    told = ("exact_match", "bleu")
    metrics, untaught = (hall.measure(stubborn, one["artifact"], metrics=told) for one in (made, before))
    assert metrics["perplexity"] < untaught["perplexity"]
    assert metrics["token_accuracy"] == 1 > untaught["token_accuracy"]
    assert metrics["exact_match"] == 1 > untaught["exact_match"]
    assert metrics["bleu"] == pytest.approx(100)
    assert untaught["bleu"] < 99
    files = hall.files(made["artifact"])
    assert "model.safetensors" not in files
    # Two narrow matrices beside each of seven matrices in two layers, two wide.
    wide, inner = 16, 32
    numbers = 2 * (4 * (2 * wide + 2 * wide) + 3 * (2 * wide + 2 * inner))
    assert 4 * numbers < files["adapter_model.safetensors"] < 4 * numbers + 6000
    assert hall.use(made["artifact"], "text-generation", {"text": ["tell the tide"]}) == ["the rope is high"]


def test_what_is_not_the_answer_does_not_count(hall: Hall, llama: str) -> None:
    keep = TRAIN.model_copy(update={"epochs": 0})
    told = hall.measure(QUESTIONS, hall.train(QUESTIONS, base=llama, train=keep)["artifact"])
    other = QUESTIONS.with_columns(pl.col("instruction").str.replace("tell", "ask"))
    asked_otherwise = hall.measure(other, hall.train(QUESTIONS, base=llama, train=keep)["artifact"])
    assert told.keys() == {"perplexity", "token_accuracy", "loss"}
    assert told["perplexity"] != asked_otherwise["perplexity"]
    talks = pl.DataFrame(
        {
            "messages": [
                [{"role": "user", "content": said}, {"role": "assistant", "content": answered}]
                for said, answered in QUESTIONS.iter_rows()
            ]
        }
    )
    again = hall.measure(talks, hall.train(talks, base=llama, train=keep)["artifact"])
    assert again["perplexity"] == pytest.approx(told["perplexity"])


@pytest.mark.parametrize("rows", ["answers", "preferences"])
def test_a_killed_training_of_an_adapter_goes_on_to_the_same_bits(
    hall: Hall, llama: str, rows: str, order: Orders
) -> None:
    some = {"answers": QUESTIONS, "preferences": CHOICES}[rows]
    more = ADAPTED.model_copy(update={"ema": 0.9, "patience": 9})
    whole = hall.train(some, base=llama, train=more)
    with pytest.raises(Killed):
        hall.train(some, base=llama, train=more, run="killed", killed_at=20)
    state = order({}, run="killed").state
    assert max(path.stat().st_size for path in state.glob("*.safetensors")) < 100_000
    assert hall.train(some, base=llama, train=more, run="killed")["artifact"] == whole["artifact"]


def test_every_part_of_a_base_is_trained_without_an_adapter(hall: Hall, llama: str, tmp_path: Path) -> None:
    made = hall.train(QUESTIONS, base=llama)
    with unpacked_model(hall._order({}), made["artifact"]) as folder:
        after = load_file(folder / "model.safetensors")
        assert not (folder / "base").exists()
    before = load_file(tmp_path / "llama" / "model.safetensors")
    assert before.keys() == after.keys()
    assert not any(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("adapter", [None, LORA])
def test_a_new_head_tells_classes_apart_on_a_base_with_another(
    hall: Hall, bert: str, adapter: Adapter | None
) -> None:
    training = TRAIN.model_copy(update={"epochs": 12, "adapter": adapter, "learning_rate": 2e-2})
    made = hall.train(OPINIONS, task="text-classification", base=bert, train=training)
    assert hall.measure(OPINIONS, made["artifact"], "text-classification")["accuracy"] == 1.0
    answers = hall.use(made["artifact"], "text-classification", {"text": ["the bell is bad"]})
    assert answers == ["blame"]


def test_a_head_for_the_same_labels_is_kept_and_one_for_others_is_new(hall: Hall, bert: str) -> None:
    training = TRAIN.model_copy(update={"epochs": 12, "learning_rate": 2e-2})
    made = hall.train(OPINIONS, task="text-classification", base=bert, train=training)
    keep = {
        "task": "text-classification",
        "base": made["artifact"],
        "train": TRAIN.model_copy(update={"epochs": 0}),
    }
    kept = hall.train(OPINIONS, **keep)
    assert hall.measure(OPINIONS, kept["artifact"], "text-classification")["accuracy"] == 1.0
    other = OPINIONS.with_columns(pl.col("label").replace({"praise": "zeal"}))
    renamed = hall.train(other, **keep)
    with (
        unpacked_model(hall._order({}), made["artifact"]) as one,
        unpacked_model(hall._order({}), renamed["artifact"]) as two,
    ):
        before, after = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert [name for name in before if not torch.equal(before[name], after[name])] == [
        "classifier.bias",
        "classifier.weight",
    ]


def test_masks_are_filled_by_a_base_with_its_own_vocabulary(hall: Hall, bert: str) -> None:
    texts = pl.DataFrame({"text": ["the tide is high", "the rope is low"] * 8})
    made = hall.train(texts, task="fill-mask", base=bert)
    answers = hall.use(made["artifact"], "fill-mask", {"text": ["the [MASK] is high"]})
    assert answers[0] in tiny_bases.WORDS


def test_what_was_pre_trained_by_masks_learns_which_text_follows(hall: Hall, bert: str) -> None:
    talks = pl.DataFrame(
        {"text": ["the tide is", "the rope is"] * 32, "next": ["high and good", "low and poor"] * 32}
    )
    # As long as the pairs are: a base reads no more than it was pre-trained on.
    whole = talks.select(text=pl.concat_str("text", "next", "next", separator=" "))
    masks = hall.train(whole, task="fill-mask", base=bert)
    training = TRAIN.model_copy(
        update={"epochs": 100, "batch": 16, "checkpoint_s": 60.0, "learning_rate": 1e-2}
    )
    made = hall.train(talks, task="next-sentence", base=masks["artifact"], train=training)
    assert hall.measure(talks, made["artifact"], "next-sentence")["accuracy"] > 0.8
    asked = {"text": ["the tide is", "the tide is"], "next": ["high and good", "low and poor"]}
    assert hall.use(made["artifact"], "next-sentence", asked) == ["next", "other"]


def test_an_adapter_on_an_adapted_base_finds_all_of_them(hall: Hall, llama: str) -> None:
    first = hall.train(QUESTIONS, base=llama, train=ADAPTED)
    second = hall.train(QUESTIONS, base=first["artifact"], train=ADAPTED.model_copy(update={"epochs": 0}))
    one, two = (hall.measure(QUESTIONS, made["artifact"]) for made in (first, second))
    assert two["perplexity"] == pytest.approx(one["perplexity"], rel=1e-5)


def test_what_peft_reads_of_an_adapter_is_what_a_replica_serves(
    hall: Hall, llama: str, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    made = hall.train(QUESTIONS, base=llama, train=ADAPTED)
    with unpacked_model(hall._order({}), made["artifact"]) as folder:
        ours = networks.load(folder)
        base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "llama")
        theirs = peft.PeftModel.from_pretrained(base, folder).eval()
    row = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        served, read = ours(input_ids=row).logits, theirs(input_ids=row).logits
        with theirs.disable_adapter():
            plain = theirs(input_ids=row).logits
    assert torch.allclose(served, read, atol=1e-5)
    assert not torch.allclose(served, plain, atol=1e-3)


@pytest.mark.parametrize("adapter", [None, LORA])
def test_preferences_are_learnt_against_what_was_started_from(
    hall: Hall, llama: str, adapter: Adapter | None
) -> None:
    training = TRAIN.model_copy(
        update={"adapter": adapter, "epochs": 6, "loss": Choice(name="dpo", options={"beta": 0.5})}
    )
    made = hall.train(CHOICES, base=llama, train=training)
    assert hall.measure(CHOICES, made["artifact"])["reward_accuracy"] == 1.0
    swapped = CHOICES.rename({"chosen": "rejected", "rejected": "chosen"})
    assert hall.measure(swapped, made["artifact"])["reward_accuracy"] == 0.0
    untrained = hall.train(CHOICES, base=llama, train=training.model_copy(update={"epochs": 0}))
    assert hall.measure(CHOICES, untrained["artifact"])["reward_accuracy"] == 0.0


@pytest.mark.parametrize("task", ["text-classification", "text-generation"])
def test_a_student_without_truth_becomes_like_its_teacher(
    hall: Hall, task: str, bert: str, llama: str
) -> None:
    rows = OPINIONS if task == "text-classification" else QUESTIONS
    training = TRAIN.model_copy(update={"epochs": 12, "learning_rate": 2e-2})
    base = bert if task == "text-classification" else llama
    teacher = hall.train(rows, task=task, base=base, train=training)["artifact"]
    if task == "text-classification":
        rows = rows.with_columns(pl.Series("label", ["praise", "praise", "blame", "blame"] * 4))
    student = hall.train(
        rows, task=task, network=Network(family="bert" if base == bert else "llama", hidden=16, layers=1, heads=2),
        train=training.model_copy(update={"epochs": 20}), teacher=Teacher(model=teacher, alpha=1.0),
    )  # fmt: skip
    truth = OPINIONS if task == "text-classification" else QUESTIONS
    metrics = hall.measure(truth, student["artifact"], task)
    assert metrics.get("accuracy", metrics.get("token_accuracy", 0.0)) > 0.9


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "positions": (
        {"network": Network(family="llama", positions=4)},
        "its answers begin behind the 4 that are read",
    ),
    "family": ({"network": Network(family="gpt2")}, "the base is a llama, not a gpt2"),
    "targets": (
        {"train": TRAIN.model_copy(update={"adapter": Adapter(lora=Lora(targets=("q_porj",)))})},
        "q_proj",
    ),
    "loss": (
        {"train": TRAIN.model_copy(update={"loss": Choice(name="dpo")})},
        "dpo does not learn from rows of",
    ),
    "head": ({"task": "fill-mask", "columns": {"text": "response"}}, "no mask token"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_a_base_is_not_for_is_said(hall: Hall, llama: str, wrong: str) -> None:
    what, said = REFUSED[wrong]
    with pytest.raises(Rejected, match=said):
        hall.train(QUESTIONS, base=llama, **what)


HARM: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (lambda base: _weights(base, without="model.layers.1.mlp.up_proj.weight"), "is missing"),
    "too much": (lambda base: _weights(base, more="model.layers.7.extra"), "none of that name"),
    "size": (lambda base: _weights(base, other="model.norm.weight"), "is \\[3\\] in the base, and \\[16\\] by its"),
    "tokens": (lambda base: _tokens(base), "they are not of one model"),
    "layers": (lambda base: tiny_bases.change_config(base, num_hidden_layers=10**9), "tensors in all"),
    "words": (lambda base: (base / "tokenizer.json").unlink(), "has no tokenizer.json"),
    "template": (lambda base: _template(base, "{{ messages.__class__.__mro__ }}"), "came before|refuses this"),
    "endless": (lambda base: _template(base, "{% for i in range(99999) %}{{ i * 'x' }}{% endfor %}"), "characters"),
}  # fmt: skip


def _weights(base: Path, *, without: str = "", more: str = "", other: str = "") -> None:
    tensors = load_file(base / "model.safetensors")
    tensors.pop(without, None)
    if more or other:
        tensors[more or other] = torch.zeros(3)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def _tokens(base: Path) -> None:
    path = base / "tokenizer.json"
    told = json.loads(path.read_text())
    told["model"]["vocab"]["more"] = max(told["model"]["vocab"].values()) + 1
    path.write_text(json.dumps(told))


def _template(base: Path, template: str) -> None:
    (base / "chat_template.jinja").write_text(template)


@pytest.mark.parametrize("harm", HARM)
def test_a_base_that_does_not_fit_itself_is_refused_in_words(hall: Hall, tmp_path: Path, harm: str) -> None:
    base = tiny_bases.llama(tmp_path / "llama")
    spoil, said = HARM[harm]
    spoil(base)
    with pytest.raises(Rejected, match=said):
        hall.train(QUESTIONS, base=hall.put(base))


def test_texts_that_belong_together_come_near_each_other(hall: Hall, bert: str) -> None:
    task = "embedding"
    longer = TRAIN.model_copy(update={"epochs": 30, "batch": 8})
    kept, made = (
        hall.train(PAIRS, task=task, base=bert, train=longer.model_copy(update={"epochs": epochs}))
        for epochs in (0, 30)
    )
    before, after = (hall.measure(PAIRS, one["artifact"], task=task) for one in (kept, made))
    assert after.keys() == {"mean_reciprocal_rank", "recall_at_1", "recall_at_10", "loss"}
    assert after["mean_reciprocal_rank"] > before["mean_reciprocal_rank"]
    assert after["loss"] < before["loss"]
    with pytest.raises(Rejected, match="from the rows alone") as raised:
        hall.train(PAIRS, task=task, base=bert, teacher=Teacher(model=made["artifact"]))
    assert raised.value.field == "teacher"


def test_a_teacher_for_other_labels_or_another_vocabulary_is_refused(hall: Hall, bert: str) -> None:
    teacher = hall.train(OPINIONS, task="text-classification", base=bert)["artifact"]
    asked = {
        "task": "text-classification",
        "teacher": Teacher(model=teacher),
        "network": Network(family="bert", hidden=16, layers=1, heads=2),
    }
    other = OPINIONS.with_columns(pl.col("label").replace({"praise": "zeal"}))
    with pytest.raises(
        Rejected, match="for blame, praise, and this model in sequence-classification for blame, zeal"
    ):
        hall.train(other, **asked)
