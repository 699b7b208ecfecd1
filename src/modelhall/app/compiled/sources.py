"""What is compiled: the modules that a request passes, and the mark by which what came of them is known."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "build" / str(sysconfig.get_config_var("SOABI"))
"""What was compiled for this Python."""
MARK = "of"
"""The file in it that says of which sources it is."""
GROUP = "modelhall_request_path"
"""The modules are compiled as one, so that they call each other directly."""
ROOMS = ("core", "policy", "gateway", "trust")
"""A change in any of these may change what the compiler makes of the modules below."""
MODULES = (
    "modelhall.core.access",
    "modelhall.gateway.caller",
    "modelhall.gateway.counting",
    "modelhall.gateway.desk",
    "modelhall.gateway.endpoint",
    "modelhall.gateway.finding",
    "modelhall.gateway.forward",
    "modelhall.gateway.gateway",
    "modelhall.gateway.health",
    "modelhall.gateway.ids",
    "modelhall.gateway.journal",
    "modelhall.gateway.limits",
    "modelhall.gateway.messages",
    "modelhall.gateway.metering",
    "modelhall.gateway.metrics",
    "modelhall.gateway.open_inference",
    "modelhall.gateway.openai",
    "modelhall.gateway.outbox",
    "modelhall.gateway.pacing",
    "modelhall.gateway.reader",
    "modelhall.gateway.record",
    "modelhall.gateway.relay",
    "modelhall.gateway.releases",
    "modelhall.gateway.reply",
    "modelhall.gateway.reply_reader",
    "modelhall.gateway.routes",
    "modelhall.gateway.same_head",
    "modelhall.gateway.server",
    "modelhall.gateway.tries",
    "modelhall.gateway.upstream",
    "modelhall.gateway.wishes",
    "modelhall.policy.balance.least_connections",
    "modelhall.policy.balance.round_robin",
    "modelhall.policy.retry_budget",
    "modelhall.trust.directory",
    "modelhall.trust.gate",
    "modelhall.trust.limits",
    "modelhall.trust.sites",
)
"""None with a dataclass that has `slots=True`: compiled, what it leaves to a default may hold anything."""


def is_current(folder: Path = FOLDER) -> bool:
    """Whether what lies there was made of the sources as they are."""
    try:
        return (folder / MARK).read_text() == print_of_sources()
    except OSError:
        return False


@cache
def print_of_sources() -> str:
    """Of everything that what is compiled depends on, this Python included. A process asks once: what it has imported
    does not change with the files."""
    found = hashlib.sha256(f"{sys.version}\n{MODULES}\n".encode())
    for path in sorted(path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")):
        found.update(f"{path.relative_to(PACKAGE)}\n".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def file_of(module: str) -> str:
    """The name of the file that a compiled module lies in."""
    return f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}"
