"""What holds of every step there is: the example in its file works."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
import yaml
from PIL import Image

from modelhall.core import hallfile, plugins
from modelhall.core.kinds import Dataset
from modelhall.core.kinds.dataset import Step

Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]
ROWS = 24


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows with columns for every step: text, numbers, categories, pixels, tokens, pictures, sounds."""
    rows = [
        {
            "id": number,
            "text": f"<p>Review number {number} of hotel {number % 5}: write to guest{number}@example.org&nbsp;</p>",
            "label": ("good", "bad")[number % 2],
            "size": None if number == 7 else float(number * number % 17),
            "tokens": list(range(number % 4 + 1)),
            "image": a_picture(number),
            "audio": a_sound(number),
            **{f"pixel_{place}": (number + place) % 17 for place in range(4)},
        }
        for number in range(ROWS)
    ]
    path = tmp_path / "rows.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def a_picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (number * 9, 100, 50)).save(buffer, format="PNG")
    return buffer.getvalue()


def a_sound(number: int) -> bytes:
    """A tone of its own, a second long, at 8,000 samples a second."""
    buffer = io.BytesIO()
    tone = np.sin(np.arange(8000) * (number + 1) / 20) / 2
    soundfile.write(buffer, tone, 8000, format="WAV")
    return buffer.getvalue()


def example(name: str) -> dict[str, Any]:
    """The step as its file's docstring shows it."""
    told = plugins.load("step", name).__doc__ or ""
    (written,) = re.findall(rf"(?m)^- {name}: .*(?:\n  .*)*", told)
    (step,) = yaml.safe_load(written)
    return Step.model_validate(step).model_dump()


@pytest.fixture
def step(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    found = example(request.param)
    if request.param == "map":
        file = tmp_path / "steps.py"
        file.write_text(
            "import polars as pl\ndef shout(rows):\n    return rows.with_columns(pl.col('text').str.to_uppercase())\n"
        )
        found["options"]["file"] = str(file)
    if request.param == "join":
        file = tmp_path / found["options"]["source"]
        file.write_text("id,nights\n" + "".join(f"{number},{number % 7}\n" for number in range(0, ROWS, 2)))
        found["options"]["source"] = str(file)
    if request.param == "label-by-model":
        artifact = request.getfixturevalue("verdicts")
        found["options"]["by"] += f"@{artifact}/text-classification"
    return found


@pytest.mark.parametrize("step", plugins.names("step"), indirect=True)
def test_the_example_of_a_step_works_on_rows_that_fit(
    prepared: Prepared, table: Path, step: dict[str, Any]
) -> None:
    output, splits = prepared(source=str(table), prepare=[step])
    assert output["rows"]["train"] > 0
    told = output["steps"][-1]
    assert (told["name"], told["rows_in"]) == (step["name"], ROWS)
    assert splits["train"].width > 0


def test_the_example_of_the_docs_page_makes_a_version(prepared: Prepared, table: Path) -> None:
    page = Path(__file__).parents[4] / "docs" / "data.md"
    written, *_ = re.findall(r"(?s)```yaml\n(.*?)```", page.read_text())
    (declared,) = hallfile.parse(written, str(page))
    assert isinstance(declared.document, Dataset)
    steps = [step.model_dump() for step in declared.document.prepare]
    output, splits = prepared(source=str(table), prepare=steps)
    assert set(splits) == {"train", "validation", "test"}
    assert [step["name"] for step in output["steps"]] == [step["name"] for step in steps]
    assert "[email]" in splits["train"]["text"][0]
