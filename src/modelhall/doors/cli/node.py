"""Commands for machines: node join | agent | cordon | uncordon | drain | undrain | label | maintain | remove."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from typing import Annotated

import typer

from modelhall import settings
from modelhall.core.errors import Rejected
from modelhall.doors.cli.people import seconds
from modelhall.doors.cli.terminal import Home, Labels, labels_of, say
from modelhall.doors.client import Hall
from modelhall.trust.tls import CA, FOLDER

node = typer.Typer(help="The machines of the hall.", no_args_is_help=True)

NAME = Annotated[str, typer.Argument(help="The node's name.")]
LOOK_S = 1.0


def add_to(cli: typer.Typer) -> None:
    cli.add_typer(node, name="node")


@node.command()
def join(
    label: Labels = None,
    lasts: Annotated[str, typer.Option(help="How long it is good, such as 15min.")] = "15min",
    home: Home = None,
) -> None:
    """Print the one command with which another machine joins this hall, once."""
    # Imported here because only what makes and reads tickets needs it.
    from modelhall.doors.agent.joining import Ticket

    with Hall(home=home) as hall:
        secret = hall.nodes.invite(labels=labels_of(label), lasts_s=seconds(lasts, "lasts"))
        address = hall.address
    chosen = settings.load(home=home)
    own = chosen.home / FOLDER / CA
    ca = own.read_text() if address.startswith("https") and own.exists() else None
    typer.echo(f"MODELHALL_JOIN={Ticket(secret, ca)} hall node agent {address}")


@node.command()
def agent(
    hall: Annotated[str | None, typer.Argument(help="URL of the hall, where it is to be joined.")] = None,
    name: Annotated[str | None, typer.Option(help="The node's name; the machine's own if not given.")] = None,
    address: Annotated[
        str, typer.Option(help="Where the gateway reaches this machine; others can reach it there, too.")
    ] = "127.0.0.1",
    home: Home = None,
) -> None:
    """Be a node of a hall, in the foreground; the first time with the ticket that `hall node join` prints."""
    # Imported here because no other command needs it.
    from modelhall.doors.agent import joining, running
    from modelhall.doors.agent.home import FOLDER as AGENT
    from modelhall.doors.agent.home import AgentHome

    chosen = settings.load(home=home)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    place = AgentHome(chosen.home / AGENT)
    with place.lock():
        membership = place.membership
        if membership is None:
            if hall is None or chosen.join is None:
                raise Rejected(
                    "this machine has joined no hall yet; `hall node join`, where the hall is, prints the command"
                )
            ticket = joining.Ticket.read(chosen.join.get_secret_value())
            called = name or joining.name_of(socket.gethostname())
            membership = joining.join(place, hall.rstrip("/"), called, ticket)
        told = f"node {membership.name} of {membership.hall}, in {place.folder}"
        asyncio.run(running.run(place, membership, chosen, address=address, announce=lambda: _announce(told)))
    say(f"{told}: the agent has ended; what it started goes on")


@node.command()
def cordon(name: NAME, home: Home = None) -> None:
    """Have nothing new be started on a node."""
    with Hall(home=home) as hall:
        hall.nodes.cordon(name)
    say(f"node {name}: cordoned")


@node.command()
def uncordon(name: NAME, home: Home = None) -> None:
    """Have a node be used again that was cordoned, or is blamed for what failed on it."""
    with Hall(home=home) as hall:
        hall.nodes.cordon(name, cordoned=False)
    say(f"node {name}: is used again")


@node.command()
def drain(
    name: NAME,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when nothing runs there any more.")] = False,
    home: Home = None,
) -> None:
    """Have all that runs on a node move elsewhere, and nothing new be started there."""
    with Hall(home=home) as hall:
        hall.nodes.drain(name)
        while wait and (state := hall.get("node", "default", name).status.state) != "drained":
            if state == "lost":
                raise Rejected(f"node {name} is lost; what ran there has been started elsewhere")
            time.sleep(LOOK_S)
    say(f"node {name}: {'drained' if wait else 'is being drained'}")


@node.command()
def undrain(name: NAME, home: Home = None) -> None:
    """Have a drained node be used again."""
    with Hall(home=home) as hall:
        hall.nodes.drain(name, drained=False)
    say(f"node {name}: is used again")


@node.command()
def label(name: NAME, labels: Annotated[list[str], typer.Argument()], home: Home = None) -> None:
    """Give a node labels, key=value each; an empty value takes one away."""
    with Hall(home=home) as hall:
        before = hall.get("node", "default", name).document.labels
        said = {word.partition("=")[0]: word.partition("=")[2] for word in labels if "=" in word}
        if len(said) != len(labels):
            raise Rejected(f"a label is written key=value, not {min(labels)!r}", field="label")
        hall.nodes.label(name, {key: value for key, value in {**before, **said}.items() if value})
    say(f"node {name}: labelled")


@node.command()
def maintain(
    name: NAME,
    after: Annotated[str, typer.Option(help="In how long it begins, such as 2h.")] = "0s",
    lasts: Annotated[str, typer.Option(help="How long it lasts, such as 45min.")] = "1h",
    reason: Annotated[str, typer.Option(help="What people are told.")] = "maintenance",
    off: Annotated[bool, typer.Option("--off", help="Take back what was announced.")] = False,
    home: Home = None,
) -> None:
    """Have a node be empty for a while; it is used again by itself afterwards."""
    starts_at = time.time() + seconds(after, "after")
    window = {"starts_at": starts_at, "ends_at": starts_at + seconds(lasts, "lasts"), "reason": reason}
    with Hall(home=home) as hall:
        found = hall.get("node", "default", name).document.windows
        kept = [one.model_dump() for one in found if one.ends_at > time.time()]
        hall.nodes.maintain(name, [] if off else [*kept, window])
    say(f"node {name}: noted")


@node.command()
def remove(name: NAME, home: Home = None) -> None:
    """Have a node be no more; its agent is nobody from then on."""
    with Hall(home=home) as hall:
        hall.nodes.remove(name)
    say(f"node {name}: removed")


def _announce(told: str) -> None:
    say(told)
    sys.stdout.flush()
