"""Every example is one that a hall takes: no name, option or metric in it that there is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare
from modelhall.core.hallfile import parse

EXAMPLES = sorted({file.parent for file in (Path(__file__).parents[3] / "examples").glob("*/*.yaml")})


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_is_taken_as_it_is(folder: Path) -> None:
    async def fingerprint(url: str, project: str) -> str:
        return url

    documents = [
        one.document for file in sorted(folder.glob("*.yaml")) for one in parse(file.read_text(), str(file))
    ]
    outcomes = asyncio.run(
        declare.apply(MemoryStore(), documents, fingerprint=fingerprint, new_uid=lambda: "uid", now=1.0)
    )
    assert {outcome.change for outcome in outcomes} == {"created"}
