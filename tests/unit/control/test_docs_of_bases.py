"""What docs/base-models.md tells, held to what there is."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import yaml

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare
from modelhall.core import plugins
from modelhall.core.hallfile import document_from_json, parse
from modelhall.core.kinds import Dataset
from modelhall.core.kinds.adapter import Lora
from modelhall.core.kinds.teacher import Teacher

TEXT = (Path(__file__).parents[3] / "docs" / "base-models.md").read_text()
FIRST, SERVED, SECOND = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def admitted(*documents: object) -> list[str]:
    async def fingerprint(url: str, project: str) -> str:
        return url

    given = [Dataset(name="exchanges", source="a.jsonl"), *documents]
    outcomes = asyncio.run(
        declare.apply(MemoryStore(), given, fingerprint=fingerprint, new_uid=lambda: "uid", now=1.0)
    )
    return [outcome.change for outcome in outcomes]


def test_the_models_are_such_as_a_hall_takes() -> None:
    (declared,) = parse(FIRST, "bases.yaml")
    assert admitted(declared.document) == ["created", "created"]
    preferring = document_from_json(
        {**yaml.safe_load(FIRST), **yaml.safe_load(SECOND.replace("5e-5", "0.00005"))}
    )
    assert admitted(preferring) == ["created", "created"]


def test_the_service_with_adapters_is_one_that_a_hall_takes() -> None:
    (clerk,) = parse(FIRST, "bases.yaml")
    models = [
        clerk.document.model_copy(update={"name": name}) for name in ("clerk", "clerk-legal", "clerk-terse")
    ]
    (service,) = parse(SERVED, "served.yaml")
    assert admitted(*models, service.document) == ["created"] * 5


def test_every_option_and_every_task_with_a_base_is_told() -> None:
    for option in (*Lora.model_fields, *Teacher.model_fields):
        assert option in TEXT
    for task in plugins.names("task"):
        takes = plugins.constant("task", task, "TAKES_BASE")
        assert (f"`{task}`" in TEXT) == takes, task
