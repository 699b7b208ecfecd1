"""What docs/compression.md tells, held to what there is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare
from modelhall.core import plugins
from modelhall.core.hallfile import parse
from modelhall.core.kinds import Dataset

TEXT = (Path(__file__).parents[3] / "docs" / "compression.md").read_text()


def test_the_model_is_one_that_a_hall_takes() -> None:
    async def fingerprint(url: str, project: str) -> str:
        return url

    (declared,) = parse(TEXT.partition("```yaml\n")[2].partition("```")[0], "compression.yaml")
    documents = [Dataset(name="digits", source="digits.csv"), declared.document]
    outcomes = asyncio.run(
        declare.apply(MemoryStore(), documents, fingerprint=fingerprint, new_uid=lambda: "uid", now=1.0)
    )
    assert [outcome.change for outcome in outcomes] == ["created", "created"]


def test_every_method_and_engine_there_is_is_told() -> None:
    for name in (*plugins.names("compression"), *plugins.names("engine")):
        assert f"| `{name}` |" in TEXT
