"""The launchers of a hall put together: this machine's processes, other machines' agents, and what each hands to
programs. The hall's signing key never leaves its machine."""

from __future__ import annotations

from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher.agent import NAME as AGENT
from modelhall.adapters.launcher.agent import AgentLauncher, Sifting
from modelhall.adapters.launcher.process import NODE, ProcessLauncher
from modelhall.app.keys import Keys
from modelhall.app.launchers import Launchers
from modelhall.core.gang_key import GANG_KEY, gang_key
from modelhall.core.kinds.node import HOME
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.reports import Reports
from modelhall.core.ports.signature import SIGNING_KEY
from modelhall.core.replica_key import REPLICA_KEY, replica_key
from modelhall.settings import Settings
from modelhall.trust.signing import KeyFolder
from modelhall.trust.tokens import read_key


def open_launchers(
    settings: Settings, keys: Keys, signing: KeyFolder, *, clock: Clock, sift: Sifting
) -> tuple[AgentLauncher, Launchers, Reports]:
    """The one that agents talk to, all of them as one, and what tells the curves of what runs at home. `sift` finds
    out what a node keeps for nobody."""
    home = settings.home
    to_anywhere = {
        REPLICA_KEY: lambda: replica_key(read_key(home)),
        GANG_KEY: lambda: gang_key(read_key(home)),
    }
    agents = AgentLauncher(
        home / "nodes",
        handover=Handover(secrets=keys.secrets, hall_secrets=to_anywhere, keys=keys.ring.keys_of),
        sift=sift,
        now=clock.now,
        monotonic=clock.monotonic,
    )
    processes = ProcessLauncher(
        home / "runs",
        blobs=settings.blobs,
        cache=home / "cache",
        environment=settings.environment,
        secrets=keys.secrets,
        hall_secrets={SIGNING_KEY: signing.private, **to_anywhere},
        keys=keys.ring.keys_of,
        hidden=home,
        sources=settings.source_rules,
        failpoints=settings.failpoints,
    )
    return agents, Launchers({HOME: processes, AGENT: agents}, home=NODE), processes
