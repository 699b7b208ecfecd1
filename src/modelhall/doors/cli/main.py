"""`hall`: puts the commands together, and turns errors into one clear line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

import typer
from typer.exceptions import TyperException

from modelhall.core.errors import Broken, HallError, Rejected
from modelhall.doors.cli import house
from modelhall.doors.cli.terminal import complain
from modelhall.version import __version__

cli = typer.Typer(
    name="hall",
    help="An AI data centre in one package: declare data, models and services; the hall makes them true.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Exit codes: 0 done, 1 it failed, 2 the request was wrong, 70 our bug."""
    try:
        code = _command(standalone_mode=False)
    except HallError as error:
        complain(error)
        code = error.exit_code
    except TyperException as error:
        complain(Rejected(f"{error.format_message()} (`hall --help` lists what there is)"))
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        # Whoever read us has gone, as in `hall events | head`. What is yet to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug is told as one
        traceback.print_exc()
        complain(Broken(f"a bug in hall: {type(error).__name__}: {error}"))
        code = 70
    sys.exit(code or 0)


@cli.callback(invoke_without_command=True)
def _hall(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    if version:
        typer.echo(f"hall {__version__}")
        raise typer.Exit


house.add_to(cli)
if sys.argv[1:2] != ["up"]:
    # Left out at the start of a hall, which is to be quick and needs none of it.
    from modelhall.doors.cli import (
        alerts,
        ask,
        audit,
        chat,
        compare,
        cost,
        data,
        declare,
        demo,
        doctor,
        keep,
        keys,
        load,
        look,
        model,
        node,
        people,
        queue,
        replay,
        rollout,
        secret,
        simulate,
        tls,
        top,
        user,
        work,
    )

    for group in (
        declare, look, data, model, compare, work, queue, simulate, replay, rollout, secret, ask, chat, load, cost,
        keep, people, user, keys, audit, tls, top, alerts, doctor, node, demo,
    ):  # fmt: skip
        group.add_to(cli)

# Made of some seventy functions' signatures here, so that a process that is forked after this has it already.
_command = typer.main.get_command(cli)
