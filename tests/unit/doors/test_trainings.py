"""Trainings beside each other: what differs, their curves, event files, MLflow; and model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from modelhall.core.errors import Rejected
from modelhall.core.kinds.model import Difference
from modelhall.core.kinds.search import SearchReport, TrialReport
from modelhall.doors import event_files, mlflow_runs, trainings
from modelhall.doors.cli import curves, model_tables, pictures
from modelhall.doors.cli.card import markdown
from modelhall.doors.trainings import Training

CURVES = {"loss": [[1, 2.0], [10, 1.0], [20, 0.5]], "validation_accuracy": [[10, 0.5], [20, 0.75]]}


def record(rate: float = 1e-3, torch: str = "2.13.0") -> dict[str, Any]:
    """As a training leaves it."""
    return {
        "order": {
            "task": "image-classification", "columns": {"label": "sign"}, "data": "d" * 64,
            "network": {"family": "cnn", "channels": [8]}, "train": {"learning_rate": rate, "epochs": 2},
        },
        "attempt": 1, "begun_at_step": 0, "seconds": 12.345, "seed": 1,
        "machine": {
            "processor": "AMD | Zen", "architecture": "x86_64", "threads": 1, "capability": "AVX2",
            "deterministic": True, "accelerators": [],
        },
        "libraries": {"python": "3.11.7", "torch": torch},
        "curves": CURVES,
    }  # fmt: skip


def of_run(name: str, **changes: Any) -> Training:
    output = {
        "parameters": 100, "size_bytes": 500,
        "validated": {"metric": "accuracy", "higher_is_better": True, "values": [0.5, 0.75, 0.7]},
    }  # fmt: skip
    return trainings.of_run({"run": name, "output": output, "record": record(**changes)})


def card() -> dict[str, Any]:
    """As the hall tells of a version."""
    difference = Difference(before=0.75, after=0.875, interval=(0.01, 0.2), p=0.031).model_dump(mode="json")
    return {
        "model": "signs", "project": "default", "number": 2, "follows": True,
        "declared": {
            "card": {"use": "to tell *signs*", "limits": "", "licence": "MIT", "base_licence": ""},
            "require": {"accuracy": ">= 0.8"},
        },
        "version": {
            "id": "f" * 64, "accepted": True, "refusal": "", "task": "image-classification", "rows": 1000,
            "metrics": {"accuracy": 0.875, "accuracy[sex=f]": 0.9}, "intervals": {"accuracy": [0.85, 0.9]},
            "size_bytes": 2048, "parameters": 1000, "erased_data": False,
            "evaluation": {
                "artifact": "e" * 64,
                "comparison": {
                    "against": "b" * 64, "rows": 1000, "figures": {"accuracy": difference}, "why_not": "",
                },
            },
        },
        "data": {
            "name": "signs", "version": "d" * 64, "rows": {"train": 8000, "test": 1000},
            "columns": ["image", "sign"], "size_bytes": 10_000, "source": "signs.csv", "licence": "CC0",
        },
        "record": record(),
        "evaluation": {
            "classes": [
                {"label": "stop|go", "rows": 600, "precision": 0.9, "recall": 0.8, "f1": 0.85},
                {"label": "go", "rows": 400, "precision": 0.8, "recall": 0.9, "f1": 0.85},
            ],
            "confusion": {"labels": ["stop|go", "go"], "counts": [[480, 120], [40, 360]]},
            "calibration": {"bins": [{"rows": 1000, "confidence": 0.9, "accuracy": 0.875}], "error": 0.025},
        },
        "cost": {
            "currency": "EUR", "cpu_s": 12.0, "gpu_s": 0.0, "energy_j": 200.0, "co2_g": 0.02, "cost_nano": 1000,
            "measured": False,
        },
    }  # fmt: skip


def shown(what: Any, width: int = 120) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(what)
    return console.export_text()


def test_only_what_is_not_the_same_is_told() -> None:
    found = [of_run("a"), of_run("b", rate=1e-2, torch="2.14.0")]
    assert trainings.differing(found, "settings") == {"train.learning_rate": [1e-3, 1e-2]}
    assert trainings.differing(found, "circumstances") == {"torch": ["2.13.0", "2.14.0"]}
    assert trainings.differing(found, "figures") == {}
    assert found[0].figures["validation_accuracy"] == 0.75


def test_a_version_has_the_figures_of_the_test_split_and_settings_the_other_lacks_are_shown_as_missing() -> (
    None
):
    version = trainings.of_card(card())
    assert version.name == "signs@2"
    assert version.figures["accuracy"] == 0.875
    differing = trainings.differing([version, of_run("a")], "figures")
    assert differing["accuracy"] == [0.875, None]


def test_a_curve_that_falls_is_drawn_from_the_upper_left_to_the_lower_right() -> None:
    lines = shown(curves.plot("loss", {"a": [(0, 1.0), (100, 0.0)]}, width=20, height=5)).splitlines()
    assert lines[1].split() == ["loss", "━", "a"]
    drawn = [line.partition("│")[2] for line in lines[2:7]]
    first = [next(place for place, letter in enumerate(line) if letter > "\u2800") for line in drawn]
    assert first == sorted(first)
    assert (first[0], drawn[-1][-1] > "\u2800") == (0, True)
    assert lines[2].startswith("1 │")
    assert lines[6].startswith("0 │")
    assert "100 steps" in lines[7]


def test_a_curve_of_one_point_is_drawn_too() -> None:
    drawn = shown(curves.plot("loss", {"a": [(5, 1.0)]}))
    assert sum("\u2800" < letter <= "\u28ff" for letter in drawn) == 1


def test_pictures_are_png_files_one_for_each_that_there_is_something_to_draw_of(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot`")
    made = pictures.of_card(card(), trainings.of_card(card()), tmp_path / "card")
    assert set(made) == {"Curves", "Confusion matrix", "Calibration"}
    for file in made.values():
        assert (tmp_path / "card" / file).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(Rejected, match="none of these has curves"):
        pictures.curves([Training(name="a")], tmp_path / "a.png")


def test_event_files_hold_every_point_and_are_not_written_over(tmp_path: Path) -> None:
    board = pytest.importorskip("tensorboardX", reason="the extra `tensorboard`")
    (place, other) = event_files.write([of_run("a"), of_run("b")], tmp_path)
    assert (place.name, other.name) == ("a", "b")
    assert read_events(board, place) == {
        name: [(int(step), pytest.approx(value)) for step, value in curve] for name, curve in CURVES.items()
    }
    with pytest.raises(Rejected, match="is there already"):
        event_files.write([of_run("b")], tmp_path)


def read_events(board: Any, folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Figure → (step, value), out of the one event file of a folder."""
    (file,) = folder.glob("events.out.tfevents.*")
    data, at = file.read_bytes(), 0
    found: dict[str, list[tuple[int, float]]] = {}
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        event = board.proto.event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_mlflow_is_handed_settings_figures_and_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its file store is no longer developed further, and wants to be asked for.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    pytest.importorskip(
        "mlflow", reason="the extra `mlflow`, which wants older libraries than the hall's own"
    )
    from mlflow.tracking import MlflowClient

    uri = f"file://{tmp_path}/mlruns"
    ids = mlflow_runs.write([of_run("a"), trainings.of_card(card())], uri=uri, experiment="signs")
    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(ids[0])
    assert run.info.run_name == "a"
    assert run.info.status == "FINISHED"
    assert run.data.params["train.learning_rate"] == "0.001"
    assert run.data.tags["hall.torch"] == "2.13.0"
    loss = client.get_metric_history(ids[0], "loss")
    assert sorted((point.step, point.value) for point in loss) == [(1, 2.0), (10, 1.0), (20, 0.5)]
    assert client.get_run(ids[1]).data.metrics["figures/accuracy.sex.f"] == 0.9


def test_a_card_tells_all_of_a_version_and_takes_nobodys_words_for_markdown() -> None:
    text = markdown(card(), {"Curves": "curves.png"})
    assert text.startswith("# signs, version 2\n")
    assert "to tell \\*signs\\*" in text
    assert "## Limits\n\nnot told" in text
    assert "of the model: MIT" in text
    assert "of its base: not told" in text
    assert "of its data: CC0" in text
    assert "| accuracy | 0.875 | 0.85 to 0.9 | >= 0.8 |" in text
    assert "| accuracy\\[sex=f\\] | 0.9 |  |  |" in text
    assert "| stop\\|go | 600 | 0.9 | 0.8 | 0.85 |" in text
    assert "| accuracy | 0.75 | 0.875 | +0.01 to +0.2 | 0.031 |" in text
    assert "8,000 train, 1,000 test" in text
    assert "1 threads of AMD \\| Zen (AVX2), deterministic, seed 1" in text
    assert "energy: 200.00 J (estimated)" in text
    assert "![Curves](curves.png)" in text


def test_a_card_of_what_an_earlier_hall_made_says_what_is_not_known() -> None:
    old = card() | {"record": None, "evaluation": None, "data": {"name": "signs", "version": "d" * 64}}
    old["version"] |= {"evaluation": None}
    text = markdown(old, {})
    assert "no record was kept" in text
    assert "its record is gone" in text
    assert "## By class" not in text


def test_a_described_version_shows_figures_by_class_and_the_training() -> None:
    text = shown(model_tables.told(card()))
    assert "stop|go" in text
    assert ["stop|go", "480", "120"] in [line.split() for line in text.splitlines()]
    assert "beside version bbbbbbbbbbbb, 1,000 rows" in text
    assert "12.3 s in attempt 1" in text


def test_trials_are_a_table_with_the_best_marked_and_what_mattered_first() -> None:
    trial = TrialReport(
        number=1, values={"train.learning_rate": 0.01234567}, state="done", validated=0.5, run="a"
    )
    report = SearchReport(
        metric="accuracy",
        trials=(trial, trial.model_copy(update={"number": 2, "state": "failed", "why": "it was nan"})),
        best=1,
        importances={"network.hidden": 0.2, "train.learning_rate": 0.8},
    )
    text = shown(model_tables.trials(report))
    assert "1 *" in text
    assert "0.01235" in text
    assert "it was nan" in text
    assert "what mattered: train.learning_rate 80%, network.hidden 20%" in text
