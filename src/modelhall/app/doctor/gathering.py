"""Where the doctor's facts come from."""

from __future__ import annotations

from pathlib import Path

from modelhall.adapters.launcher.supervision import confinement
from modelhall.app.compiled.build import can_compile
from modelhall.app.doctor.facts import Facts
from modelhall.app.gateway import GATEWAY_FILE
from modelhall.app.monitoring.watching import Seen
from modelhall.core import files
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.kinds.service import ServiceResource
from modelhall.core.ports.history import History
from modelhall.core.ports.store import Store
from modelhall.settings import Settings

DAY_S = 86400.0
IN_MEMORY = ("tmpfs", "ramfs")


async def gather(settings: Settings, store: Store, history: History, seen: Seen, now: float) -> Facts:
    """What is so now. `seen` are the figures of the last look."""
    services: list[ServiceResource] = await store.find("service")
    alive = await store.find("run", resting=False)
    return Facts(
        settings=settings,
        now=now,
        models=await store.find("model"),
        services=services,
        projects=await store.find("project"),
        machines=await store.find("node"),
        tokens=await store.find("token"),
        has_people=bool(await store.find("user", limit=1)),
        waiting=[run for run in alive if run.status.state not in ACTIVE],
        seen=seen,
        unasked=frozenset(
            [one.key.path for one in services if await _is_unasked(history, one.key.path, now)]
        ),
        interprets=can_compile()
        and not (files.read_json(settings.home / GATEWAY_FILE) or {}).get("compiled", True),
        confines=confinement.version_here() > 0,
        in_memory=_file_system(settings.home) in IN_MEMORY,
    )


async def _is_unasked(history: History, service: str, now: float) -> bool:
    """Whether it was watched a day ago and ever since, and there was no request."""
    watched = await history.read(service, "replicas_missing", since=now - DAY_S, until=now, step_s=3600.0)
    if not watched or watched[0].at > now - DAY_S + 7200:
        return False
    asked = await history.read(service, "requests_s", since=now - DAY_S, until=now, step_s=3600.0)
    return not any(span.most for span in asked)


def _file_system(path: Path) -> str:
    """The sort of the file system that a path is on; empty where the kernel does not tell."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    home = path.resolve()
    over = [(mount[1], mount[2]) for mount in mounts if home.is_relative_to(mount[1])]
    return max(over, key=lambda mount: len(mount[0]), default=("", ""))[1]
