"""Commands for the hall itself: up, down."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from modelhall import settings
from modelhall.doors.cli.terminal import Home, say

if TYPE_CHECKING:
    from modelhall.app.hall import Hall

Port = Annotated[
    int | None, typer.Option(help="Control API and console; 0 takes a free one. 7070 if not given.")
]
GatewayPort = Annotated[int | None, typer.Option(help="Gateway; 0 takes a free one. 7080 if not given.")]


def add_to(cli: typer.Typer) -> None:
    cli.command()(up)
    cli.command()(down)


def up(
    port: Port = None,
    gateway_port: GatewayPort = None,
    host: Annotated[
        str | None, typer.Option(help="The address both listen on; elsewhere than on loopback with TLS only.")
    ] = None,
    standby: Annotated[
        bool, typer.Option("--standby", help="Take over when the hall that is up in this home is gone.")
    ] = False,
    home: Home = None,
) -> None:
    """Start a hall here, in the foreground. Ctrl-C stops it."""
    # Imported here and below because no other command needs it.
    import uvloop

    from modelhall.doors import serve

    chosen = settings.load(home=home, port=port, gateway_port=gateway_port, host=host)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    uvloop.run(serve.up(chosen, _announce_standby if standby else _announce, standby=standby))


def down(home: Home = None) -> None:
    """Stop the hall of this home and all it runs; what was running goes on at the next start."""
    from modelhall.doors import serve

    chosen = settings.load(home=home)
    say("stopped" if serve.down(chosen) else f"no hall is up in {chosen.home}")


def _announce(hall: Hall) -> None:
    say(f"hall up in {hall.settings.home}")
    say(f"  console and API  {hall.addresses['address']}/   token {hall.token}")
    say(f"  gateway          {hall.addresses['gateway']}/")
    sys.stdout.flush()


def _announce_standby(hall: Hall) -> None:
    say(f"hall stands by in {hall.settings.home}")
    say(f"  API  {hall.addresses['address']}/")
    sys.stdout.flush()
