"""Every example is one that a hall takes: no name, option or metric in it that there is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare
from modelhall.core.hallfile import parse

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/hall.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_an_example_is_taken_as_it_is(file: Path) -> None:
    async def fingerprint(url: str, project: str) -> str:
        return url

    documents = [one.document for one in parse(file.read_text(), str(file))]
    outcomes = asyncio.run(
        declare.apply(MemoryStore(), documents, fingerprint=fingerprint, new_uid=lambda: "uid", now=1.0)
    )
    assert {outcome.change for outcome in outcomes} == {"created"}
