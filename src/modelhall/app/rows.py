"""Rows of a data set, to look at. Another program reads them: what that takes is never loaded into this process."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from modelhall.core.errors import Broken, NotFound, NotNow
from modelhall.core.kinds import Key
from modelhall.core.ports.store import Store
from modelhall.core.sealing import KeysOf
from modelhall.core.secrets import handed_keys
from modelhall.settings import Settings

SAMPLE = "modelhall.stages.sample"


async def rows(
    key: Key, split: str, limit: int, *, store: Store, settings: Settings, keys_of: KeysOf
) -> list[dict[str, Any]]:
    """The first rows of a split of a data set's current version; raises NotFound, or NotNow before there is one."""
    dataset = await store.get(key)
    if dataset is None:
        raise NotFound(f"no {key}")
    version = dataset.status.current
    if version is None:
        raise NotNow(f"{key} has no version yet: {dataset.status.reason}", delay_s=5)
    text, code = await _sample(settings, keys_of, key.project, [version.artifact, split, str(limit)])
    if code != 0:
        raise Broken(f"the rows of {key} cannot be read (exit code {code})")
    answer = json.loads(text)
    if "problem" in answer:
        raise NotFound(answer["problem"]["message"], field=answer["problem"]["field"])
    return list(answer["rows"])


async def _sample(settings: Settings, keys_of: KeysOf, project: str, asked: list[str]) -> tuple[bytes, int]:
    """What the program that reads rows says, and its exit code."""
    keys = await asyncio.to_thread(keys_of, project)
    with handed_keys(keys) as handed:
        reading = await asyncio.create_subprocess_exec(
            sys.executable, "-m", SAMPLE, f"{settings.blobs}/{project}", *asked,
            str(settings.home / "cache" / project),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**settings.environment, **{name: str(number) for name, number in handed.items()}},
            pass_fds=tuple(handed.values()),
        )  # fmt: skip
        text, _ = await reading.communicate()
    assert reading.returncode is not None
    return text, reading.returncode
