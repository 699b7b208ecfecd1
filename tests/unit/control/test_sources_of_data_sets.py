"""What the loop does with sources that need a secret, and with those that cannot be asked for the moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from facts import NOW, resource, view_of

from modelhall.control import datasets
from modelhall.control.actions import Action, Create, Update, Wake
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.kinds import Dataset
from modelhall.core.kinds.dataset import DatasetVersion

VERSION = DatasetVersion(
    id="d1", artifact="da", run="r", rows={"train": 8}, columns=(), size_bytes=1, sources=(), steps=(), created_at=0
)  # fmt: skip


def decided(of: Any, said: str | Exception, asked: list[tuple[str, str]] | None = None) -> list[Action]:
    """What is done when the source says this."""

    async def fingerprint(url: str, project: str) -> str:
        if asked is not None:
            asked.append((url, project))
        if isinstance(said, Exception):
            raise said
        return said

    return datasets.reconcile(of, asyncio.run(datasets.observe(of, view_of(of), fingerprint)), NOW)


def test_a_source_is_asked_with_the_secrets_of_its_own_project() -> None:
    asked: list[tuple[str, str]] = []
    decided(resource(Dataset(name="d", project="lab", source="s3://b/x#secret=lake")), "f", asked)
    assert asked == [("s3://b/x#secret=lake", "lab")]


def test_the_run_that_prepares_is_handed_the_secrets_that_its_sources_name() -> None:
    source = {"train": "s3://b/x#secret=lake", "test": "https://h.example/a.csv#secret=web"}
    (run,) = [
        action.document
        for action in decided(resource(Dataset(name="d", source=source)), "f")
        if isinstance(action, Create)
    ]
    assert run.secrets == ("lake", "web")


def test_a_version_stands_while_its_source_cannot_be_asked() -> None:
    ready = resource(Dataset(name="d", source="/a"), state="ready", version="d1", versions=(VERSION,))
    actions = decided(ready, NotNow("the server is away", delay_s=5))
    assert [type(action) for action in actions] == [Wake]


@pytest.mark.parametrize("error", [NotNow("away", delay_s=5), Rejected("nothing found")])
def test_without_a_version_it_is_said_what_is_wrong_with_the_source(error: Exception) -> None:
    actions = decided(resource(Dataset(name="d", source="/a")), error)
    (update,) = [action for action in actions if isinstance(action, Update)]
    assert (update.resource.status.state, update.resource.status.reason) == ("failed", str(error))
