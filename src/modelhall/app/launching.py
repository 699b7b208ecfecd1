"""The launchers of a hall put together: this machine's processes, other machines' agents, a Slurm cluster where the
settings name one, and what each hands to programs. The hall's signing key never leaves its machine."""

from __future__ import annotations

from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher._slurm.commands import Commands
from modelhall.adapters.launcher.agent import NAME as AGENT
from modelhall.adapters.launcher.agent import AgentLauncher, Sifting
from modelhall.adapters.launcher.process import NODE, ProcessLauncher
from modelhall.adapters.launcher.slurm import NAME as SLURM
from modelhall.adapters.launcher.slurm import SlurmLauncher
from modelhall.app.keys import Keys
from modelhall.app.launchers import Launchers
from modelhall.core.kinds.node import HOME
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import Launcher
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
    of_replicas = {REPLICA_KEY: lambda: replica_key(read_key(home))}
    to_other_machines = Handover(secrets=keys.secrets, hall_secrets=of_replicas, keys=keys.ring.keys_of)
    agents = AgentLauncher(
        home / "nodes",
        handover=to_other_machines,
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
        hall_secrets={SIGNING_KEY: signing.private, **of_replicas},
        keys=keys.ring.keys_of,
        hidden=home,
        sources=settings.source_rules,
        failpoints=settings.failpoints,
    )
    launchers: dict[str, Launcher] = {HOME: processes, AGENT: agents}
    if settings.slurm_partitions:
        launchers[SLURM] = _slurm(settings, to_other_machines, clock)
    return agents, Launchers(launchers, home=NODE), processes


def _slurm(settings: Settings, handover: Handover, clock: Clock) -> SlurmLauncher:
    """The cluster that the settings name. It shares the folder of runs with what runs at home, so that a run goes on
    from its state wherever its next attempt is."""
    home = settings.home
    conf = {"SLURM_CONF": str(settings.slurm_conf)} if settings.slurm_conf is not None else {}
    commands = Commands(
        environment={**settings.environment, **conf},
        partitions=settings.slurm_partitions,
        options=settings.slurm_options,
    )
    return SlurmLauncher(
        home / "runs",
        commands=commands,
        known=home / "nodes" / "slurm",
        blobs=settings.blobs,
        cache=home / "cache",
        environment=settings.environment,
        handover=handover,
        hidden=home,
        sources=settings.source_rules,
        now=clock.now,
        monotonic=clock.monotonic,
    )
