"""train and evaluate: learning, keeping the best, going on after a kill to the same bits, saying no in words."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from killed import AskedToEndAt, Killed, KilledAt
from safetensors.torch import load_file

from modelhall.core import plugins
from modelhall.core.errors import Failed, Rejected
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Network, Train
from modelhall.core.orders import Against, EvaluateOrder, EvaluateOutput, TrainOrder
from modelhall.core.program import Order, Reporter, open_blobs, unpacked
from modelhall.stages import _data, evaluate, train
from modelhall.stages.train.batches import batches
from modelhall.stages.train.ending import AskedToEnd
from modelhall.stages.train.schedules import Moment, rate

Orders = Callable[..., Order]
BERT = Network(family="bert", hidden=32, layers=1, heads=2, dropout=0.1)
TRAIN = Train(epochs=4, batch=8, learning_rate=1e-2, seed=5, checkpoint_s=1e-9)
WORDS = (("bad", "awful", "boring", "poor"), ("good", "lovely", "bright", "great"))


def rows(number: int, seed: int) -> pl.DataFrame:
    """Sentences of unequal length whose words tell the label."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, number).tolist()
    texts = [" ".join(["it", "was", *random.choice(WORDS[label], random.integers(1, 9))]) for label in labels]
    return pl.DataFrame({"text": texts, "label": labels})


@pytest.fixture
def store(order: Orders, tmp_path: Path) -> Callable[[dict[str, pl.DataFrame]], str]:
    """Puts splits into the blobs as prepare does; the artifact's digest."""

    def put(splits: dict[str, pl.DataFrame]) -> str:
        folder = tmp_path / "splits"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for name, frame in splits.items():
            frame.write_parquet(folder / _data.name(name, 0, 1))
        return open_blobs(order({})).put_folder(folder)

    return put


@pytest.fixture
def data(store: Callable[[dict[str, pl.DataFrame]], str]) -> str:
    return store({"train": rows(80, 1), "validation": rows(20, 2), "test": rows(20, 3)})


def an_order(data: str, **changes: Any) -> TrainOrder:
    given = {"task": "text-classification", "columns": {}, "network": BERT, "train": TRAIN, "data": data}
    return TrainOrder(**{**given, **changes})


def run(order: Order) -> dict[str, Any]:
    return dict(train.carry_out(order, Reporter(order.work)))


def history(order: Order) -> list[dict[str, float]]:
    return [json.loads(line) for line in (order.work / "metrics.jsonl").read_text().splitlines()]


def test_what_is_trained_is_measured_on_the_test_split(order: Orders, data: str) -> None:
    trained = run(order(an_order(data)))
    assert trained["steps"] == 40
    asked = EvaluateOrder(
        task="text-classification", model=trained["artifact"], data=data, metrics=("recall_macro",)
    )
    made = order(asked, run="e")
    measured = evaluate.carry_out(made, Reporter(made.work))
    assert measured["rows"] == 20
    assert set(measured["metrics"]) == {"accuracy", "f1_macro", "recall_macro", "loss"}
    assert measured["metrics"]["accuracy"] == 1.0


def test_a_version_is_laid_beside_the_one_before_it_row_by_row(
    order: Orders, data: str, store: Callable[[dict[str, pl.DataFrame]], str]
) -> None:
    """Where both were measured on the same rows, and else it is said why not."""

    def trained(**changes: Any) -> str:
        what = an_order(data, train=TRAIN.model_copy(update=changes))
        return str(run(order(what, run=f"train-{changes['epochs']}"))["artifact"])

    def measured(model: str, on: str, against: Against | None = None) -> EvaluateOutput:
        what = EvaluateOrder(task="text-classification", model=model, data=on, metrics=(), against=against)
        place = order(what, run="e")
        return EvaluateOutput.model_validate(evaluate.carry_out(place, Reporter(place.work)))

    bad, good = trained(epochs=1, learning_rate=1e-6), trained(epochs=2)
    first = measured(bad, data)
    assert first.artifact is not None
    before = Against(version="f" * 64, evaluation=first.artifact)
    found = measured(good, data, before).comparison
    assert found is not None
    assert (found.against, found.rows) == ("f" * 64, 20)
    assert found.figures["accuracy"].before == first.metrics["accuracy"]
    assert found.figures["loss"].after < found.figures["loss"].before
    assert found.figures["loss"].p < 0.05
    other = store({"train": rows(80, 1), "test": rows(20, 4)})
    refused = measured(good, other, before).comparison
    assert refused is not None
    assert refused.why_not == "it was measured on another version of the data"
    gone = measured(good, data, Against(version="f" * 64, evaluation="0" * 64)).comparison
    assert gone is not None
    assert gone.figures == {}
    assert gone.why_not


@pytest.mark.parametrize("sample", [8, 83, 168, 317])
def test_a_killed_training_goes_on_to_the_same_bits(order: Orders, data: str, sample: int) -> None:
    unbroken = order(an_order(data), run="unbroken")
    whole = run(unbroken)
    killed = order(an_order(data), run="killed")
    with pytest.raises(Killed):
        train.carry_out(killed, KilledAt(killed.work, sample))
    again = order(an_order(data), run="killed", attempt=2)
    assert run(again)["artifact"] == whole["artifact"]
    steps = {line["step"]: line for line in history(unbroken) if "loss" in line}
    assert [line for line in history(again) if "loss" in line] == [
        line for step, line in steps.items() if step >= history(again)[0]["step"]
    ]
    assert sample < 16 or history(again)[0]["step"] > 1


def test_a_training_that_is_asked_to_end_keeps_the_step_it_is_in(order: Orders, data: str) -> None:
    asked = an_order(data, train=TRAIN.model_copy(update={"checkpoint_s": 1000.0, "epochs": 2}))
    whole = run(order(asked, run="unbroken"))
    ended = order(asked, run="ended")
    with pytest.raises(AskedToEnd):
        train.carry_out(ended, AskedToEndAt(ended.work, 80))
    (kept,) = ended.state.glob("step-*.json")
    step = int(kept.stem.removeprefix("step-"))
    assert step == history(ended)[-1]["step"] > 5
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "nobody is kept who is not in training"
    again = order(asked, run="ended", attempt=2)
    assert run(again)["artifact"] == whole["artifact"]
    assert history(again)[0]["step"] == step + 1


@pytest.mark.parametrize("optimizer", plugins.names("optimizer"))
def test_every_optimizer_goes_on_to_the_same_bits(order: Orders, data: str, optimizer: str) -> None:
    """With all else that a training remembers, too."""
    changes = {"optimizer": Choice(name=optimizer), "epochs": 2, "ema": 0.9, "accumulate": 3, "patience": 9}
    asked = an_order(data, train=TRAIN.model_copy(update=changes))
    whole = run(order(asked, run="unbroken"))
    killed = order(asked, run="killed")
    with pytest.raises(Killed):
        train.carry_out(killed, KilledAt(killed.work, 100))
    assert run(order(asked, run="killed", attempt=2))["artifact"] == whole["artifact"]


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(order: Orders, data: str) -> None:
    whole = run(order(an_order(data), run="unbroken"))
    for attempt, sample in enumerate((100, 200), 1):
        killed = order(an_order(data), run="killed", attempt=attempt)
        with pytest.raises(Killed):
            train.carry_out(killed, KilledAt(killed.work, sample))
    before, newest = sorted(killed.state.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-100])
    (killed.state / "step-000000999.json").write_text('{"key": ')
    again = order(an_order(data), run="killed", attempt=3)
    assert run(again)["artifact"] == whole["artifact"]
    assert history(again)[0]["step"] == int(before.stem.removeprefix("step-")) + 1


def test_a_checkpoint_of_another_order_is_not_used(order: Orders, data: str) -> None:
    killed = order(an_order(data), run="killed")
    with pytest.raises(Killed):
        train.carry_out(killed, KilledAt(killed.work, 200))
    other = order(an_order(data, train=TRAIN.model_copy(update={"seed": 6})), run="killed", attempt=2)
    run(other)
    assert history(other)[0]["step"] == 1


def test_the_same_order_makes_the_same_artifact_in_another_process(order: Orders, data: str) -> None:
    here = run(order(an_order(data)))
    made = order(an_order(data), run="there")
    (made.work / "order.json").write_text(made.model_dump_json())
    program = [sys.executable, "-m", "modelhall.stages.train", str(made.work / "order.json")]
    subprocess.run(program, check=True, capture_output=True)
    there = json.loads((made.work / "result.json").read_text())["output"]
    # The record tells how long it took, too.
    assert there.pop("record") != here.pop("record")
    assert there == here


def test_the_best_epoch_by_validation_is_kept(
    order: Orders, store: Callable[[dict[str, pl.DataFrame]], str]
) -> None:
    # Validation says the opposite of training: the less learnt, the better.
    wrong = rows(40, 2).with_columns(label=1 - pl.col("label"))
    data = store({"train": rows(80, 1), "validation": wrong, "test": wrong})
    made = order(an_order(data))
    trained = run(made)
    validated = [line["validation_accuracy"] for line in history(made) if "validation_accuracy" in line]
    asked = order(
        EvaluateOrder(task="text-classification", model=trained["artifact"], data=data, metrics=()), run="e"
    )
    accuracy = evaluate.carry_out(asked, Reporter(asked.work))["metrics"]["accuracy"]
    assert accuracy == max(validated) > validated[-1]


def test_without_a_validation_split_the_last_epoch_is_kept(
    order: Orders, store: Callable[[dict[str, pl.DataFrame]], str]
) -> None:
    made = order(an_order(store({"train": rows(80, 1)})))
    assert run(made)["steps"] == 40
    assert not any("validation_accuracy" in line for line in history(made))


def test_a_loss_that_is_no_number_fails_with_what_would_do(order: Orders, data: str) -> None:
    wild = Train(epochs=2, batch=8, optimizer=Choice(name="sgd"), learning_rate=1e30, clip=None, warmup=0)
    with pytest.raises(Failed, match="learning rate below") as raised:
        run(order(an_order(data, train=wild)))
    assert raised.value.field == "train.learning_rate"


def test_a_label_training_never_saw_is_refused_before_training(
    order: Orders, store: Callable[[dict[str, pl.DataFrame]], str]
) -> None:
    strange = rows(20, 3).with_columns(label=pl.lit(7))
    with pytest.raises(Rejected, match="test has the label '7' in 20 rows"):
        run(order(an_order(store({"train": rows(80, 1), "test": strange}))))


def test_a_split_that_is_not_there_cannot_be_measured(
    order: Orders, store: Callable[[dict[str, pl.DataFrame]], str]
) -> None:
    data = store({"train": rows(80, 1)})
    asked = EvaluateOrder(
        task="text-classification", model=run(order(an_order(data)))["artifact"], data=data, metrics=()
    )
    made = order(asked, run="e")
    with pytest.raises(Rejected, match="no test split"):
        evaluate.carry_out(made, Reporter(made.work))


def test_artifacts_are_safetensors_and_json_that_transformers_reads(order: Orders, data: str) -> None:
    transformers = pytest.importorskip("transformers")
    made = order(an_order(data))
    with unpacked(made, run(made)["artifact"]) as folder:
        assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        network = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
        logits = network(
            **tokenizer(["it was lovely", "it was awful"], return_tensors="pt", padding=True)
        ).logits
    assert [network.config.id2label[number] for number in logits.argmax(-1).tolist()] == ["1", "0"]


def test_every_row_comes_once_an_epoch_in_an_order_of_the_seed() -> None:
    first, again, later = (batches(103, 8, seed=1, epoch=epoch, lengths=None) for epoch in (0, 0, 1))
    assert sorted(np.concatenate(first)) == list(range(103))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (np.concatenate(first) == np.concatenate(later)).all()
    assert {len(batch) for batch in first} == {7, 8}


def test_rows_of_like_length_come_together() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    cut = batches(1000, 10, seed=1, epoch=0, lengths=lengths.tolist())
    assert sorted(np.concatenate(cut)) == list(range(1000))
    assert np.mean([np.ptp(lengths[batch]) for batch in cut]) < 5


RATES = {"sgd": 0.1, "adafactor": 0.1, "muon": 0.05, "lion": 3e-3}


@pytest.mark.parametrize("optimizer", plugins.names("optimizer"))
def test_every_optimizer_learns(
    order: Orders, store: Callable[[dict[str, pl.DataFrame]], str], optimizer: str
) -> None:
    points = np.random.default_rng(0).normal(size=(300, 2))
    frame = pl.DataFrame({"x": points[:, 0], "y": points[:, 1], "label": points[:, 0] > points[:, 1]})
    changes = {"optimizer": Choice(name=optimizer), "learning_rate": RATES.get(optimizer, 1e-2), "epochs": 10}
    made = order(
        an_order(
            store({"train": frame[:200], "validation": frame[200:]}),
            task="tabular-classification",
            network=Network(family="mlp", hidden=[16, 16]),
            train=TRAIN.model_copy(update=changes),
        )
    )
    run(made)
    assert max(line.get("validation_accuracy", 0) for line in history(made)) > 0.9


def test_a_step_in_parts_is_the_step_in_one(order: Orders, data: str) -> None:
    plain = Network(family="bert", hidden=32, layers=1, heads=2, dropout=0.0)
    losses = []
    for number, parts in enumerate((1, 3)):
        changes = {"accumulate": parts, "epochs": 2}
        made = order(
            an_order(data, network=plain, train=TRAIN.model_copy(update=changes)), run=f"parts-{number}"
        )
        run(made)
        losses.append([line["loss"] for line in history(made) if "loss" in line])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_what_is_frozen_stays_as_it_was_and_a_pattern_of_nothing_is_refused(order: Orders, data: str) -> None:
    def weights(run_name: str, **changes: Any) -> dict[str, Any]:
        made = order(an_order(data, train=TRAIN.model_copy(update=changes)), run=run_name)
        with unpacked(made, run(made)["artifact"]) as folder:
            return dict(load_file(folder / "model.safetensors"))

    one, four = (
        weights(f"frozen-{epochs}", epochs=epochs, freeze=("bert.embeddings.*",)) for epochs in (1, 4)
    )
    for name in one:
        same = bool((one[name] == four[name]).all())
        assert same == name.startswith("bert.embeddings."), name
    with pytest.raises(Rejected, match="no parameter matches 'embedings") as raised:
        weights("nothing", freeze=("embedings.*",))
    assert raised.value.field == "train.freeze"


def test_training_ends_when_the_validation_has_not_become_better_for_so_long(
    order: Orders, store: Callable[[dict[str, pl.DataFrame]], str]
) -> None:
    # Validation says the opposite of training: it only becomes worse.
    wrong = rows(40, 2).with_columns(label=1 - pl.col("label"))
    data = store({"train": rows(80, 1), "validation": wrong})
    made = order(an_order(data, train=TRAIN.model_copy(update={"epochs": 50, "patience": 2})))
    steps = run(made)["steps"]
    validated = [line["validation_loss"] for line in history(made) if "validation_loss" in line]
    assert steps == 10 * len(validated) < 500


def test_the_average_is_what_is_kept(order: Orders, store: Callable[[dict[str, pl.DataFrame]], str]) -> None:
    """With a decay close to 1 it is nearly what training began with."""
    data = store({"train": rows(80, 1), "test": rows(20, 3)})
    found = []
    for number, ema in enumerate((None, 0.999999)):
        trained = run(order(an_order(data, train=TRAIN.model_copy(update={"ema": ema})), run=f"ema-{number}"))
        asked = EvaluateOrder(
            task="text-classification", model=trained["artifact"], data=data, metrics=("log_loss",)
        )
        made = order(asked, run=f"e-{number}")
        found.append(evaluate.carry_out(made, Reporter(made.work))["metrics"]["log_loss"])
    assert found[0] < 0.2
    assert found[1] == pytest.approx(np.log(2), abs=0.2)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.5, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.5]),
        ({"linear": {"to": 0.5}}, [0.5, 1, 1, 0.75]),
        ("cosine", [0.5, 1, 1, 0.5]),
        ({"step": {"epochs": 2, "gamma": 0.1}}, [0.5, 1, 1, 0.1]),
        ({"one-cycle": {"rise": 0.5}}, [0.5, 1, 0.04, 1]),
    ],
)
def test_the_rate_rises_over_the_warm_up_and_falls_by_the_schedule(schedule: Any, rates: list[float]) -> None:
    train = Train.model_validate({"schedule": schedule, "warmup": 0.2, "learning_rate": 1.0})
    found = [rate(train, step, 10, steps_an_epoch=2) for step in (0, 1, 2, 6)]
    assert found == pytest.approx(rates)


def test_the_plateau_schedule_falls_after_epochs_that_were_no_better() -> None:
    train = Train.model_validate(
        {"schedule": {"plateau": {"epochs": 2, "gamma": 0.1}}, "warmup": 0, "learning_rate": 1}
    )

    def after(*losses: float) -> float:
        return rate(train, 5, 10, steps_an_epoch=1, losses=losses)

    assert after() == after(3, 2, 1) == after(3, 2, 2.5) == 1
    assert after(3, 3, 3) == pytest.approx(0.1)
    assert after(3, 3, 3, 2, 2.5, 2.5) == pytest.approx(0.01)


def test_every_schedule_stays_between_nothing_and_the_whole_rate() -> None:
    for name in plugins.names("rate"):
        module = plugins.load("rate", name)
        for step in range(100):
            moment = Moment(step=step, total=100, steps_an_epoch=10, losses=(1.0,) * (step // 10))
            assert 0 <= module.factor(moment) <= 1, (name, step)
