"""What docs/search.md and docs/model-card.md tell, held to what there is."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare
from modelhall.core.hallfile import parse
from modelhall.core.kinds import Dataset
from modelhall.core.kinds.card import Card
from modelhall.core.kinds.search import Range, Search

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("page", ["search.md", "model-card.md"])
def test_the_hall_file_of_the_page_is_one_that_a_hall_takes(page: str) -> None:
    async def fingerprint(url: str, project: str) -> str:
        return url

    text = (DOCS / page).read_text().partition("```yaml\n")[2].partition("```")[0]
    documents = [declared.document for declared in parse(text, page)]
    if not any(isinstance(document, Dataset) for document in documents):
        documents.insert(0, Dataset(name="adult", source="adult.csv"))
    outcomes = asyncio.run(
        declare.apply(MemoryStore(), documents, fingerprint=fingerprint, new_uid=lambda: "uid", now=1.0)
    )
    assert [outcome.change for outcome in outcomes] == ["created", "created"]


def test_every_field_is_told() -> None:
    told = set(re.findall(r"`([^`\s]+)`", (DOCS / "search.md").read_text()))
    assert (set(Search.model_fields) | set(Range.model_fields)) - {"values"} <= told
    assert all(f"  {field}:" in (DOCS / "model-card.md").read_text() for field in Card.model_fields)
