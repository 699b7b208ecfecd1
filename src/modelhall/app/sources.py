"""What the loop asks of the sources: has the content changed? By the operator's rules and the project's secrets."""

from __future__ import annotations

import asyncio

from modelhall.adapters.source import source_for
from modelhall.control.datasets import Fingerprint
from modelhall.core import source_url
from modelhall.core.ports.secrets import Secrets
from modelhall.core.ports.source import Access, SourceRules


def fingerprint_by(rules: SourceRules, secrets: Secrets | None) -> Fingerprint:
    """Asks a source in a thread, since it may take its time; without `secrets`, of those only that need none."""

    async def fingerprint(url: str, project: str) -> str:
        return await asyncio.to_thread(_ask, url, project, rules, secrets)

    return fingerprint


def _ask(url: str, project: str, rules: SourceRules, secrets: Secrets | None) -> str:
    name = source_url.secret_named(url)
    value = secrets.get(project, name) if name is not None and secrets is not None else None
    values = {} if name is None or value is None else {name: value.decode()}
    return source_for(url).fingerprint(url, Access(rules=rules, secrets=values))
