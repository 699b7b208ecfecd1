"""The data sets of the examples, each prepared from its hall file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelhall.core import hallfile
from modelhall.core.kinds import Dataset
from modelhall.core.orders import PrepareOrder
from modelhall.core.program import Order, Reporter
from modelhall.stages import prepare

REPOSITORY = Path(__file__).parents[3]
DATA = REPOSITORY.parent / "shared" / "data"

EXPECTED: dict[str, tuple[int, dict[str, str]]] = {
    "adult": (32_561, {"age": "int64", "workclass": "string", "hours_per_week": "int64", "income": "string"}),
    "california-housing": (20_640, {"total_bedrooms": "float64", "ocean_proximity": "string"}),
    "tang-poems": (10_008, {"text": "string"}),
    "news-titles": (10_000, {"text": "string", "label": "int64"}),
    "news-classes": (10, {"text": "string"}),
    "movielens": (100_000, {"user": "int64", "rating": "int64", "timestamp": "int64"}),
    "spoken-digits": (
        2_500,
        {
            "audio": "binary",
            "label": "string",
            "speaker": "string",
            "sample_rate": "int64",
            "image": "binary",
        },
    ),
    "shakespeare": (7_222, {"text": "string"}),
    "llm-requests": (19_366, {"TIMESTAMP": "string", "ContextTokens": "int64"}),
    "gpu-nodes": (1_213, {"sn": "string", "gpu": "int64"}),
    "gpu-pods": (8_152, {"gpu_spec": "string", "creation_time": "int64"}),
    "gpu-jobs": (82_247, {"duration": "float64", "num_gpus": "int64"}),
    "carbon-intensity": (34_944, {"carbon_intensity": "float64"}),
    "english-chinese": (20_133, {"english": "string", "chinese": "string"}),
    "mnist": (8_000, {"image": "binary", "label": "int64"}),
    "iris": (150, {"sepal_length": "float64", "species": "int64"}),
    "diabetes": (442, {"age": "int64", "bmi": "float64"}),
    "photographs": (2, {"image": "binary", "label": "string"}),
    "descriptions": (14, {"name": "string", "text": "string"}),
    "sounds": (4, {"audio": "binary", "sample_rate": "int64", "channels": "int64", "duration_s": "float64"}),
    "hotel-reviews": (7_766, {"label": "int64", "review": "string"}),
    "sst2": (9_613, {"text": "string", "label": "int64"}),
    "digits": (1_797, {"image": "binary"}),
    "harbour": (96, {"instruction": "string", "response": "string"}),
}
"""Data set → how many rows its source has, and the types of some columns."""


def declared() -> list[Any]:
    """Every data set of every example."""
    found = []
    for file in sorted(REPOSITORY.glob("examples/*/hall.yaml")):
        for each in hallfile.parse(file.read_text(), str(file)):
            if isinstance(each.document, Dataset):
                found.append(pytest.param(each.document, id=each.document.name))
    return found


def here(url: str) -> str:
    """Where the data is: in a package, beside its hall file, or below the folder that holds all of it. Skips where it
    is not."""
    if url.startswith("package://"):
        return url
    pattern = Path(url).name
    if beside := sorted(REPOSITORY.glob(f"examples/*/{pattern}")):
        return str(beside[0])
    places = sorted({path.parent for path in DATA.rglob(pattern)})
    if not places:
        pytest.skip(f"{pattern} is not below {DATA}")
    return str(places[0] / pattern)


@pytest.mark.parametrize("dataset", declared())
def test_a_data_set_of_the_examples_is_prepared_from_its_hall_file(
    order: Callable[..., Order], dataset: Dataset
) -> None:
    if dataset.name in ("spoken-digits", "sounds"):
        pytest.importorskip("soxr")
    source = {split: here(url) for split, url in dataset.sources.items()}
    asked = PrepareOrder.of(dataset.model_copy(update={"source": source.get("all", source)}))
    made = order(asked, run=dataset.name)
    output = prepare.carry_out(made, Reporter(made.work))
    rows, columns = EXPECTED[dataset.name]
    read = sum(output["rows"].values()) + sum(sum(step["dropped"].values()) for step in output["steps"])
    assert read == rows
    types = {column["name"]: column["type"] for column in output["columns"]}
    assert {name: types[name] for name in columns} == columns


def test_every_data_set_of_the_examples_is_expected_here() -> None:
    assert {case.id for case in declared()} == set(EXPECTED)


def test_every_file_of_the_real_data_is_in_a_data_set_of_the_examples() -> None:
    if not DATA.is_dir():
        pytest.skip(f"there is no {DATA}")
    globs = [Path(url).name for case in declared() for url in case.values[0].sources.values()]
    left = [path.name for path in DATA.rglob("*") if path.is_file() and not any(map(path.match, globs))]
    assert left == []


def test_what_packages_ship_tells_of_text_tables_pictures_and_sounds() -> None:
    (shipped,) = REPOSITORY.glob("examples/in-packages/hall.yaml")
    names = {each.document.name for each in hallfile.parse(shipped.read_text(), str(shipped))}
    columns = [EXPECTED[name][1] for name in names]
    for column, kind in (("text", "string"), ("species", "int64"), ("image", "binary"), ("audio", "binary")):
        assert any(types.get(column) == kind for types in columns)
