"""The home of a hall that has done a little of everything, made without running one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhall.adapters.book.sqlite import open_book
from modelhall.adapters.store import open_store
from modelhall.app.keys import Keys
from modelhall.core.kinds import KINDS, AnyResource, Dataset, Document, Key, Model, Result, Run, Service
from modelhall.core.kinds.dataset import DatasetVersion
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.node import Node
from modelhall.core.kinds.run import Attempt, Stage
from modelhall.core.ports.book import Entry, Usage
from modelhall.core.ports.store import Event, Put
from modelhall.settings import Settings

SECRET = "s3cret-of-a-project"
TOKEN = "mh_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
PASSWORD = "password-of-the-database"
AT = 1_700_000_000.0
USED = Usage(
    request="r1", at=AT, project="default", service="s", version="v", replica="replica", status=200, tries=1,
    duration_s=0.5, weight=0.25,
)  # fmt: skip
PAID = Entry(
    id="e1", at=AT, project="default", debit="run/default/train", credit="node/default/n", cost_nano=42
)


@dataclass(frozen=True)
class SmallHome:
    settings: Settings
    data: str
    """Artifact of the data set's version."""
    model: str
    """Artifact of the model's version."""

    @property
    def home(self) -> Path:
        return self.settings.home

    def blob(self, digest: str) -> Path:
        """Where a sealed blob lies."""
        return self.home / "blobs/default" / digest[:2] / digest[2:4] / f"{digest}.sealed"

    def damage(self, digest: str) -> None:
        """Flip one bit of a blob, and leave its size."""
        content = bytearray(self.blob(digest).read_bytes())
        content[len(content) // 2] ^= 1
        self.blob(digest).chmod(0o644)
        self.blob(digest).write_bytes(content)


async def small_home(folder: Path, **settings: Any) -> SmallHome:
    """A data set, a model trained on it, a service, its replica at work, and what each has left."""
    home = folder / "home"
    chosen = Settings(home=home, **settings)
    for name in ("blobs", "usage", "cache/abc"):
        (home / name).mkdir(parents=True)
    keys = Keys(chosen, lambda: AT)
    blobs = keys.blobs("default")
    artifacts = {}
    for name in ("data", "model"):
        (folder / name).mkdir()
        (folder / name / "content").write_bytes(name.encode() * 20_000)
        artifacts[name] = blobs.put_folder(folder / name)
    keys.secrets.put("default", "password", SECRET.encode())
    for name in ("token", "token.key", "tokens.json", "hall.json", "lock", "cache/abc/content"):
        (home / name).write_text(TOKEN)
    toml = (
        f'store = "postgresql://hall:{PASSWORD}@db/hall"\nroot_key = "command:vault {PASSWORD}"\n'
        "# what electricity costs here\nprice_per_kwh = 0.25\n"
    )
    (home / "hall.toml").write_text(toml)
    (home / "usage/usage-00000000000000001.jsonl").write_text(json.dumps(vars(USED)) + '\n{"request": "r2')
    await _fill_store(chosen, artifacts)
    await _fill_book(home)
    for uid in ("train-uid", "replica-uid"):
        _fill_run(home / "runs" / uid, over=uid == "train-uid")
    return SmallHome(chosen, artifacts["data"], artifacts["model"])


async def _fill_store(settings: Settings, artifacts: dict[str, str]) -> None:
    of_data = DatasetVersion(
        id="da7a" * 16, artifact=artifacts["data"], run="prepare", rows={"train": 2}, columns=(), size_bytes=1,
        sources=(), steps=(), created_at=AT,
    )  # fmt: skip
    of_model = ModelVersion(
        id="0de1" * 16, artifact=artifacts["model"], accepted=True, metrics={}, size_bytes=1, parameters=1,
        task="t", data=f"d@{of_data.id}", train_run="train", evaluate_run="evaluate", created_at=AT,
    )  # fmt: skip
    train = Stage(program="train", order={"data": artifacts["data"]}, key="0de1" * 16)
    attempts = (Attempt(number=1, node="n", started_at=AT),)
    active = {"state": "running", "attempt": 1, "node": "n", "attempts": attempts, "address": "127.0.0.1:1"}
    found = [
        new(Node(name="n"), "n-uid"),
        new(Dataset(name="d", source="/nowhere"), "d-uid", state="ready", version=of_data.id, versions=(of_data,)),
        new(
            Model(name="m", task="t", data="d", network={"family": "f"}), "m-uid",
            state="ready", version=of_model.id, versions=(of_model,),
        ),
        new(Service(name="s", model="m"), "s-uid", state="ready", version=of_model.id),
        new(Run(name="train", stage=train, owner="model/default/m"), "train-uid", state="succeeded", attempt=1),
        new(Run(name="replica", owner="service/default/s", command=("x",)), "replica-uid", **active),
        new(
            Result(name=f"k-{'0de1' * 12}", run="train", output={"artifact": artifacts["model"]}), "k-uid"
        ),
    ]  # fmt: skip
    store = open_store(f"sqlite://{settings.home}/hall.db" if not settings.store else settings.store_url)
    await store.commit([Put(resource=resource) for resource in found])
    event = Event(at=AT, key=Key("model", "default", "m"), name="model.accepted", message="well done")
    await store.commit([event])
    await store.close()


def new(document: Document, uid: str, **status: Any) -> AnyResource:
    """A resource that is not stored yet."""
    kind = KINDS[document.kind]
    return kind.resource(
        document=document,
        status=kind.status(**status),
        uid=uid,
        generation=3,
        created_at=AT,
        updated_at=AT + 1,
    )


async def _fill_book(home: Path) -> None:
    book = open_book(home)
    await book.append(usage=[USED], entries=[PAID], marks={"journal/usage-00000000000000001.jsonl": 10.0})
    await book.close()


def _fill_run(folder: Path, *, over: bool) -> None:
    attempt = folder / "1"
    for place in (folder / "state", attempt / "log", attempt / "tmp"):
        place.mkdir(parents=True)
    (folder / "state/step-1.json").write_text("{}")
    (folder / "state/.step-2.json.0123456789ab").write_text("half")
    (attempt / "log/00").write_text("it went well\n")
    (attempt / "tmp/rubbish").write_text("rubbish")
    (attempt / "link").symlink_to("/etc/passwd")
    for name in ("supervisor.json", "child.json", "launch.json", "stop.json"):
        (attempt / name).write_text('{"pid": 1}')
    if over:
        (attempt / "result.json").write_text('{"output": {}}')
        (attempt / "exit.json").write_text('{"code": 0, "ended_at": 1}')
