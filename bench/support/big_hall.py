"""A hall with very many objects: one tenant's life played on virtual time, stored under many names.

Nothing in it is made up: every status is what the loop itself came to, so a control plane that opens it finds nothing
to do.
"""

from __future__ import annotations

from pathlib import Path

from modelhall.adapters.launcher.virtual import Script
from modelhall.adapters.source import source_for
from modelhall.core import digest
from modelhall.core.hallfile import parse
from modelhall.core.kinds import KINDS, resource_from_json
from modelhall.core.ports.launcher import Launch, NodeReport
from modelhall.core.ports.source import Access
from modelhall.core.ports.store import Put, Store
from modelhall.twin.plant import Plant

TENANT = "kind: project\nname: p0\n"
DATASET = "kind: dataset\nproject: p0\nname: data-{n}\nsource: {source}\nprepare: [split: {{test: 0.2, seed: {n}}}]\n"
MODEL = """kind: model
project: p0
name: model-{n}
task: image-classification
data: data-{n}
network: {{family: cnn}}
train: {{seed: {n}}}
require: {{accuracy: ">= {least}"}}
"""
SERVICE = "kind: service\nproject: p0\nname: service-{n}\nmodel: model-{n}\n"
JOB = "kind: run\nproject: p0\nname: job-{n}\ncommand: [work]\n"
AT_ONCE = 500


async def fill(store: Store, objects: int, source: Path) -> int:
    """Store tenants until there are `objects`; `source` is a file they all read. Returns how many there are."""
    tenant = _tenant(str(source))
    count, batch = 0, []
    while count < objects:
        number = count // len(tenant)
        for kind, body in tenant:
            own = body.replace('"p0"', f'"p{number}"').replace("/p0/", f"/p{number}/")
            own = own.replace('"uid":"uid-', f'"uid":"uid-{number}-')
            batch.append(Put(resource=resource_from_json(kind, own)))
            count += 1
        if len(batch) >= AT_ONCE:
            await store.commit(batch)
            batch = []
    await store.commit(batch)
    return count


def _tenant(source: str) -> list[tuple[str, str]]:
    """All that is stored of one tenant who has nothing left to do, as JSON."""
    node = NodeReport(name="n1", cpus=64.0, memory_bytes=2**40, processor="virtual")
    word = source_for(source).fingerprint(source, Access())
    plant = Plant(nodes=[node], script=_script, sources={source: word})
    texts = [TENANT]
    texts += [DATASET.format(n=n, source=source) for n in range(10)]
    texts += [MODEL.format(n=n, least=0.9 if n < 4 else 0.99) for n in range(6)]
    texts += [SERVICE.format(n=n) for n in range(4, 6)]
    texts += [JOB.format(n=n) for n in range(40)]
    plant.apply(*(one.document for one in parse("---\n".join(texts), "hall.yaml")))
    plant.advance(600)
    found = [resource for kind in KINDS if kind != "node" for resource in plant.all(kind)]
    return [(r.key.kind, r.model_copy(update={"revision": 0}).model_dump_json()) for r in found]


def _script(launch: Launch) -> Script:
    if launch.order is None:
        return Script(takes_s=1.0, result={})
    stage = launch.argv[2].rpartition(".")[2]
    made = digest.of_json(dict(launch.order))
    output: dict[str, object] = {"metrics": {"accuracy": 0.97}, "rows": 20}
    if stage == "prepare":
        output = {
            "version": made, "artifact": made, "rows": {"train": 80, "test": 20}, "size_bytes": 1000,
            "columns": [{"name": "image", "type": "binary"}], "sources": [], "steps": [],
        }  # fmt: skip
    elif stage == "train":
        output = {"artifact": made, "size_bytes": 500, "parameters": 100, "steps": 10}
    return Script(takes_s=1.0, result={"output": output})
