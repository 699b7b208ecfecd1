"""The doctor finds what is not as good practice has it, says what would do, and is quiet where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelhall.adapters.history.sqlite import open_history
from modelhall.adapters.store.memory import MemoryStore
from modelhall.app.doctor import AREAS, examine
from modelhall.app.doctor.facts import Facts, Finding
from modelhall.app.doctor.gathering import gather
from modelhall.core.kinds import KINDS, AnyResource, Document, Model, Node, Project, Run, Service, Token
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.service import Replica
from modelhall.core.ports.history import Frame
from modelhall.core.ports.sensor import Figure
from modelhall.core.ports.store import Put
from modelhall.settings import Settings

NOW = 1_700_000_000.0
NODE = "node/default/local"
SOUND = {
    "store": "postgresql://elsewhere/hall", "root_key": "file:/mnt/key", "alert_webhook": "https://chat.example.org/",
    "price_per_cpu_hour": 0.02, "price_per_kwh": 0.2, "co2_g_per_kwh": 300.0,
}  # fmt: skip
VERSION = ModelVersion(
    id="a" * 64, artifact="a", accepted=True, metrics={}, size_bytes=1, parameters=1, task="t", data="d@1",
    train_run="t", evaluate_run="e", created_at=0, engine="onnxruntime",
)  # fmt: skip
ONE = Replica(run="s-0", uid="u", version="v", release="r", number=1, state="ready", address="127.0.0.1:1")


def resource(document: Document, **status: Any) -> AnyResource:
    kind = KINDS[document.kind]
    return kind.resource(
        uid=document.name,
        document=document,
        status=kind.status(**status),
        created_at=NOW - 700,
        updated_at=NOW,
    )


def service(**fields: Any) -> AnyResource:
    limits = {"requests": "60/minute"}
    return resource(
        Service(**{"name": "s", "model": "m", "replicas": 2, "limits": limits, **fields}), replicas=(ONE,)
    )


def model(version: ModelVersion = VERSION, **fields: Any) -> AnyResource:
    needs = {"accuracy": ">= 0.9"}
    document = Model(**{"name": "m", "task": "text-classification", "data": "d", "require": needs, **fields})
    return resource(document, versions=(version,), version=version.id)


def token(**fields: Any) -> AnyResource:
    return resource(Token(**{"name": "t", "role": "viewer", "expires_at": NOW + 1, **fields}))


def figures(**values: float) -> dict[str, list[Figure]]:
    return {NODE: [Figure(name=name, value=value, source="RAPL") for name, value in values.items()]}


def facts(**changes: Any) -> Facts:
    """A hall that is as it should be, but for some changes; a setting that is None is not set."""
    changes = dict(changes)
    said = {**SOUND, **changes.pop("settings", {})}
    settings = Settings(
        home=Path("/srv/hall"), **{name: word for name, word in said.items() if word is not None}
    )
    sound: dict[str, Any] = {
        "models": [model()], "services": [service()], "tokens": [token()], "has_people": True,
        "seen": figures(
            disk_used_share=0.5, disk_left_s=1e9, memory_bytes=100, memory_used_bytes=50, power_w=80
        ),
    }  # fmt: skip
    return Facts(**{"settings": settings, "now": NOW, **sound, **changes})


def test_a_hall_that_is_as_it_should_be_has_no_findings() -> None:
    assert examine(facts()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_a_hall_that_only_its_own_machine_reaches_needs_no_names_for_people(host: str) -> None:
    assert examine(facts(settings={"host": host}, has_people=False)) == []


def failing() -> AnyResource:
    return resource(Run(name="r", command=("x",)), state="waiting", failures=3)


GUESSED = {NODE: [Figure(name="power_w", value=5.0, measured=False, source="cpu-time model")]}
SPENT = {"project/default/p": [Figure(name="budget_used_share", value=0.9, source="treasury")]}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"in_memory": True}, "now", "is in memory"),
    ({"seen": figures(disk_used_share=0.95)}, "now", "95% of the disk"),
    ({"seen": figures(disk_used_share=0.5, disk_left_s=7200)}, "now", "full in 2 h"),
    (
        {"settings": {"store": ""}, "services": [service(), service(name="s2")]},
        "someday",
        "nobody takes over",
    ),
    (
        {"machines": [resource(Node(name="a"), state="quarantined", reason="cannot count")]},
        "now",
        "cannot count",
    ),
    ({"settings": {"root_key": ""}}, "soon", "root key lies in the home"),
    ({"settings": {"slurm_partitions": "gpu, long"}}, "now", "no node of Slurm's, in gpu, long"),
    ({"seen": figures(memory_bytes=100, memory_used_bytes=93)}, "now", "93% of its memory"),
    ({"waiting": [resource(Run(name="r", command=("x",)), state="queued")]}, "soon", "waited 12 min"),
    ({"waiting": [failing()]}, "now", "failed 3 times"),
    ({"models": [model(VERSION.model_copy(update={"engine": "torch"}))]}, "someday", "as it was trained"),
    ({"interprets": True}, "someday", "plain Python"),
    ({"models": [model(require={})]}, "soon", "it has no `require`"),
    ({"settings": {"seal": False}}, "soon", "lie open"),
    ({"settings": {"sign": False}}, "soon", "not signed"),
    ({"confines": False}, "soon", "no Landlock"),
    ({"settings": {"host": "0.0.0.0"}, "has_people": False}, "soon", "shows the first token"),
    ({"tokens": [token(expires_at=None)]}, "someday", "never expires"),
    ({"tokens": [token(expires_at=None, operator=True, role=None)]}, "soon", "may do everything"),
    ({"settings": {"alert_webhook": None}}, "someday", "log alone"),
    ({"services": [service(replicas=1)]}, "soon", "it has one replica"),
    ({"projects": [resource(Project(name="p"))], "seen": SPENT}, "soon", "90% of this month's budget"),
    ({"tokens": [token(), token(name="u")], "services": [service(limits={})]}, "someday", "take all of it"),
    ({"unasked": frozenset(["service/default/s"])}, "soon", "nobody has asked it for a day"),
    ({"settings": {"price_per_kwh": None}}, "someday", "price_per_kwh"),
    ({"seen": GUESSED}, "someday", "estimated (cpu-time model)"),
]


@pytest.mark.parametrize(("changes", "urgency", "says"), WRONG, ids=[says for *_, says in WRONG])
def test_what_is_wrong_is_found_with_what_would_do(changes: dict[str, Any], urgency: str, says: str) -> None:
    mentioned = [one for one in examine(facts(**changes)) if says in one["says"]]
    assert [one["urgency"] for one in mentioned] == [urgency]
    assert mentioned[0]["advice"]


@pytest.mark.parametrize(
    "question",
    [one for questions in AREAS.values() for one in questions],
    ids=lambda question: question.__name__,
)
def test_every_question_is_answered_no_by_some_hall(question: Callable[[Facts], Iterator[Finding]]) -> None:
    assert any(list(question(facts(**changes))) for changes, *_ in WRONG)


def test_a_service_that_was_watched_for_a_day_is_unasked_only_if_nobody_asked(tmp_path: Path) -> None:
    async def story() -> frozenset[str]:
        store, history = MemoryStore(), open_history(tmp_path)
        await store.commit([Put(resource=service(name=name)) for name in ("asked", "unasked", "new")])
        frames = [
            Frame(
                subject=f"service/default/{name}",
                at=NOW - hours * 3600,
                values={"replicas_missing": 0.0, "requests_s": 0.5 if (name, hours) == ("asked", 7) else 0.0},
            )
            for hours in range(24, -1, -1)
            for name in ("asked", "unasked", *(["new"] if hours < 5 else []))
        ]
        await history.append(frames)
        found = await gather(Settings(home=tmp_path), store, history, {}, NOW)
        await history.close()
        return found.unasked

    assert asyncio.run(story()) == {"service/default/unasked"}
