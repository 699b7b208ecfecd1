"""The address of a result changes with all that can change the result, and with nothing else."""

from __future__ import annotations

import pytest

from modelhall.core.kinds import Dataset, Resources
from modelhall.core.kinds.dataset import Format, SourceFile, Step
from modelhall.core.kinds.model import Network, Train
from modelhall.core.kinds.teacher import Teacher
from modelhall.core.orders import EvaluateOrder, PrepareOrder, TrainOrder, key_of

TRAIN = TrainOrder(
    task="text-classification", columns={"text": "review"}, network=Network(family="bert", layers=2),
    train=Train(), data="a" * 64,
)  # fmt: skip
EVALUATE = EvaluateOrder(task="text-classification", model="m" * 64, data="a" * 64, metrics=("accuracy",))
CLEAN, SPLIT = (Step(name=name, options={}) for name in ("clean", "split"))
DATASET = Dataset(name="d", source="a.csv", prepare=(CLEAN, SPLIT))
OTHER_TRAINING = {
    "epochs": 9, "batch": 8, "optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.5, "clip": None,
    "schedule": "cosine", "warmup": 0.5, "loss": {"cross-entropy": {"label_smoothing": 0.1}}, "seed": 2,
    "accumulate": 2, "clip_value": 0.5, "freeze": ["a.*"], "ema": 0.99, "patience": 3,
    "precision": "bfloat16", "packing": True, "on_oom": "split", "adapter": {"lora": {"rank": 4}},
}  # fmt: skip
NOT_IN_THE_RESULT = {"checkpoint_s", "keep_checkpoints", "checkpointing"}


def train_key(**changes: object) -> str:
    return key_of("train", TRAIN.model_copy(update=changes), data="v1")


def test_every_field_of_the_training_is_known_here() -> None:
    assert set(Train.model_fields) == OTHER_TRAINING.keys() | NOT_IN_THE_RESULT


@pytest.mark.parametrize(
    "changes", [{"base": "b" * 64}, {"base": "c" * 64}, {"teacher": Teacher(model="t" * 64)}]
)
def test_another_base_or_teacher_is_another_result(changes: dict[str, object]) -> None:
    assert train_key(**changes) != train_key()
    assert train_key(**changes) != train_key(base="d" * 64)


@pytest.mark.parametrize("field", OTHER_TRAINING)
def test_another_way_of_training_is_another_result(field: str) -> None:
    other = Train.model_validate({field: OTHER_TRAINING[field]})
    assert train_key(train=other) != train_key()


def test_how_often_checkpoints_are_written_changes_no_result() -> None:
    assert train_key(train=Train(checkpoint_s=1, keep_checkpoints=9)) == train_key()


def test_what_one_worker_has_trained_is_found_where_it_always_was() -> None:
    plain = TrainOrder(task="t", columns={}, network=Network(family="mlp"), train=Train(), data="d")
    assert key_of("train", plain, data="x") == (
        "3a3f9d097a235f009757cec3427caad95612c4c50855cf2de2de771c461319dd"
    )


def test_in_how_many_parts_a_step_is_learnt_from_is_part_of_the_result() -> None:
    assert len({train_key(shards=number) for number in (1, 2, 3)}) == 3


def test_activations_that_are_computed_again_change_no_result() -> None:
    assert train_key(train=Train(checkpointing=True)) == train_key()


@pytest.mark.parametrize(
    "change",
    [
        {"task": "image-classification"}, {"columns": {"text": "body"}}, {"columns": {}}, {"data": "b" * 64},
        {"network": Network(family="bert", layers=3)}, {"network": Network(family="cnn", layers=2)},
        {"network": Network(family="bert")},
    ],
)  # fmt: skip
def test_another_task_column_network_or_data_is_another_training(change: dict[str, object]) -> None:
    assert train_key(**change) != train_key()


def test_the_order_of_options_is_no_difference() -> None:
    a, b = Network(family="bert", layers=2, heads=4), Network(heads=4, layers=2, family="bert")
    assert train_key(network=a) == train_key(network=b)


def test_another_data_version_is_another_training() -> None:
    assert key_of("train", TRAIN, data="v2") != key_of("train", TRAIN, data="v1")


@pytest.mark.parametrize(
    "change", [{"task": "x"}, {"model": "n"}, {"data": "b"}, {"split": "validation"}, {"metrics": ()}]
)
def test_another_model_split_or_metric_is_measured_anew(change: dict[str, object]) -> None:
    assert key_of("evaluate", EVALUATE.model_copy(update=change)) != key_of("evaluate", EVALUATE)


def prepare_key(sources: str = "v1", **changes: object) -> str:
    order = PrepareOrder.of(DATASET.model_copy(update=changes))
    return key_of("prepare", order, sources={"all": sources})


@pytest.mark.parametrize(
    "change",
    [
        {"source": "b.csv"}, {"format": Format(header=False)}, {"format": Format(type="csv")},
        {"format": Format(columns=("a",))}, {"prepare": (SPLIT, CLEAN)},
        {"prepare": (Step(name="clean", options={"drop_empty": True}), SPLIT)}, {"max_damaged": 0.5},
    ],
)  # fmt: skip
def test_another_source_format_or_step_is_prepared_anew(change: dict[str, object]) -> None:
    assert prepare_key(**change) != prepare_key()


def test_what_a_data_set_is_called_and_given_changes_no_result() -> None:
    same = {"name": "e", "project": "team", "labels": {"a": "b"}, "resources": Resources(cpus=4)}
    assert prepare_key(**same) == prepare_key()


def test_a_source_that_changed_is_prepared_anew() -> None:
    assert prepare_key("v2") != prepare_key("v1")


def file(path: str, digest: str) -> SourceFile:
    return SourceFile(path=path, digest=digest, size_bytes=1)


def test_a_data_version_is_what_the_files_hold_and_not_where_they_lie() -> None:
    order = PrepareOrder.of(DATASET)
    version = order.version((file("a.csv", "1"),))
    moved = PrepareOrder.of(DATASET.model_copy(update={"source": "/elsewhere/b.csv"}))
    assert moved.version((file("/elsewhere/b.csv", "1"),)) == version
    assert order.version((file("a.csv", "2"),)) != version
    assert order.version((file("a.csv", "1"), file("b.csv", "2"))) != version
    split = PrepareOrder.of(DATASET.model_copy(update={"source": {"train": "a.csv"}}))
    assert split.version((file("a.csv", "1"),)) != version


def test_the_same_files_in_other_splits_are_another_version() -> None:
    def version(**source: str) -> str:
        order = PrepareOrder.of(DATASET.model_copy(update={"source": source}))
        return order.version(tuple(file(path, path) for path in order.source.values()))  # type: ignore[union-attr]

    assert version(train="a", test="b") != version(train="b", test="a")
    assert version(test="a", train="b") != version(train="a", test="b")
    assert version(train="a", validation="b") != version(train="a", test="b")


def test_two_stages_never_share_an_address() -> None:
    assert len({key_of(stage, TRAIN) for stage in ("prepare", "train", "evaluate")}) == 3
