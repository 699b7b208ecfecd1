"""The launchers of a hall put together: this machine's processes, other machines' agents, the clusters of
Slurm and of Ray that the settings name, and what each hands to programs. The hall's signing key never leaves its
machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher._slurm.commands import Commands
from modelhall.adapters.launcher.agent import NAME as AGENT
from modelhall.adapters.launcher.agent import AgentLauncher
from modelhall.adapters.launcher.process import NODE, ProcessLauncher
from modelhall.adapters.launcher.ray.launcher import NAME as RAY
from modelhall.adapters.launcher.ray.launcher import RayLauncher
from modelhall.adapters.launcher.ray.line import Line
from modelhall.adapters.launcher.slurm import NAME as SLURM
from modelhall.adapters.launcher.slurm import SlurmLauncher
from modelhall.app.keys import Keys
from modelhall.app.launchers import Hears, Launchers, Lines
from modelhall.app.nodes import Nodes
from modelhall.app.postings import NodePostings
from modelhall.core.gang_key import GANG_KEY, gang_key
from modelhall.core.kinds.node import HOME
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import Launcher
from modelhall.core.ports.reports import Reports
from modelhall.core.ports.signature import SIGNING_KEY
from modelhall.core.replica_key import REPLICA_KEY, replica_key
from modelhall.settings import Settings
from modelhall.trust.signing import KeyFolder
from modelhall.trust.tokens import key_for, read_key


def open_launchers(
    settings: Settings,
    keys: Keys,
    signing: KeyFolder,
    *,
    clock: Clock,
    nodes: Nodes,
    address: Callable[[], str],
    catch_up: Callable[[], Awaitable[None]],
) -> tuple[Hears, Launchers, Reports]:
    """The one that agents talk to, all of them as one, and what tells the curves of what runs at home. `address` is
    the hall's own, `catch_up` has its doors know the tokens that were just made."""
    home = settings.home
    to_anywhere = {
        REPLICA_KEY: lambda: replica_key(read_key(home)),
        GANG_KEY: lambda: gang_key(read_key(home)),
    }
    handover = Handover(secrets=keys.secrets, hall_secrets=to_anywhere, keys=keys.ring.keys_of)

    def agents_in(folder: str) -> AgentLauncher:
        return AgentLauncher(
            home / folder,
            handover=handover,
            sift=nodes.unwanted,
            now=clock.now,
            monotonic=clock.monotonic,
        )

    agents = agents_in("nodes")
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
    launchers: dict[str, Launcher] = {HOME: processes, AGENT: agents}
    hears: Hears = agents
    if settings.slurm_partitions:
        launchers[SLURM] = _slurm(settings, handover, clock)
    if settings.ray:
        place = f"modelhall-{key_for('ray', read_key(home)).hex()[:12]}"
        postings = NodePostings(
            settings, nodes, place=place, reached_at=lambda: settings.ray_hall or address(), catch_up=catch_up
        )
        launchers[RAY] = ray = _ray(settings, agents_in(RAY), postings, place, clock)
        hears = Lines(agents, ray, ray.has)
    return hears, Launchers(launchers, home=NODE), processes


def _ray(
    settings: Settings, agents: AgentLauncher, postings: NodePostings, place: str, clock: Clock
) -> RayLauncher:
    """The cluster that the settings name; `place` is what this hall is called there."""
    folder = settings.home / RAY
    return RayLauncher(
        folder,
        agents=agents,
        line=Line(settings.ray, place, folder=folder, environment=settings.ray_environment),
        postings=postings,
        now=clock.now,
        monotonic=clock.monotonic,
    )


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
