"""What docs/training.md and docs/workers.md tell, held to what there is."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare
from modelhall.core import plugins
from modelhall.core.hallfile import parse
from modelhall.core.kinds import Dataset
from modelhall.core.kinds.model import Train

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "training.md").read_text()


@pytest.mark.parametrize("page", ["training", "workers"])
def test_the_model_is_one_that_a_hall_takes(page: str) -> None:
    async def fingerprint(url: str, project: str) -> str:
        return url

    text = (DOCS / f"{page}.md").read_text()
    (declared,) = parse(text.partition("```yaml\n")[2].partition("```")[0], f"{page}.yaml")
    documents = [Dataset(name=declared.document.data, source="a.csv"), declared.document]
    outcomes = asyncio.run(
        declare.apply(MemoryStore(), documents, fingerprint=fingerprint, new_uid=lambda: "uid", now=1.0)
    )
    assert [outcome.change for outcome in outcomes] == ["created", "created"]


def test_everything_there_is_is_told() -> None:
    told = set(re.findall(r"`([^`\s]+)`", TEXT))
    own = {
        name for name in plugins.names("network") if (plugins.PACKAGE / "networks" / f"{name}.py").exists()
    }
    fields = set(Train.model_fields) - {"epochs", "learning_rate", "weight_decay", "seed", "checkpoint_s"}
    for known in (
        own,
        fields,
        *(set(plugins.names(sort)) for sort in ("task", "loss", "optimizer", "rate", "metric")),
    ):
        assert known - told == set()
