"""Commands for who may do what: whoami, token create | rotate | revoke | suspend | resume, member set | remove."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer

from modelhall.core.access import Role
from modelhall.core.errors import Rejected
from modelhall.doors.cli.terminal import IN_DEFAULT, Form, Home, Output, Project, say, show
from modelhall.doors.client import Hall

token = typer.Typer(help="What programs and people show at the doors.", no_args_is_help=True)
member = typer.Typer(help="Who has which role in a project.", no_args_is_help=True)

NAME = Annotated[str, typer.Argument(help="The token's name.")]
UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|d)")


def add_to(cli: typer.Typer) -> None:
    cli.command()(whoami)
    cli.add_typer(token, name="token")
    cli.add_typer(member, name="member")


def whoami(output: Output = Form.table, home: Home = None) -> None:
    """Who the hall takes you for, and what you may do where."""
    with Hall(home=home) as hall:
        found = hall.people.whoami()
    rows = [(project, ", ".join(verbs)) for project, verbs in found["grants"].items()]
    if found["everywhere"]:
        rows.append(("everywhere", ", ".join(found["everywhere"])))
    if output is Form.table:
        say(f"{found['name']}, by {found['token']}" if found["token"] != found["name"] else found["name"])
    show(output, found, ("project", "may"), rows)


@token.command("create")
def create(
    name: NAME,
    role: Annotated[Role | None, typer.Option(help="viewer, editor or admin in the project.")] = None,
    user: Annotated[str | None, typer.Option(help="Make it a user's: it may do what he may.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="Let it do everything in the hall.")] = False,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="see, use, change, manage or operate: nothing but this; may be given several times."
        ),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="After how long, such as 30d, 12h, 45min.")] = None,
    canary: Annotated[
        bool, typer.Option("--canary", help="To be found: whoever uses it is locked out.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="Such as requests=60/minute, tokens=… or money=…; may be given several times."),
    ] = None,
    project: Project = IN_DEFAULT,
    home: Home = None,
) -> None:
    """Make a token. It is printed once, on a line of its own, and kept nowhere."""
    with Hall(home=home) as hall:
        secret = hall.people.issue(
            name, project=project, user=user, role=role, operator=operator, scopes=scope,
            expires_at=time.time() + seconds(expires, "expires") if expires else None, canary=canary,
            limits=_limits(limit or []),
        )  # fmt: skip
    typer.echo(secret)


@token.command()
def rotate(
    name: NAME,
    overlap: Annotated[str, typer.Option(help="How long the old one is good, such as 1h.")] = "0s",
    project: Project = IN_DEFAULT,
    home: Home = None,
) -> None:
    """Give a token a new secret, and print it."""
    with Hall(home=home) as hall:
        typer.echo(hall.people.rotate(name, project=project, overlap_s=seconds(overlap, "overlap")))


@token.command()
def revoke(name: NAME, project: Project = IN_DEFAULT, home: Home = None) -> None:
    """Make a token useless, for ever."""
    with Hall(home=home) as hall:
        hall.people.revoke(name, project=project)
    say(f"token {name}: revoked")


@token.command()
def suspend(
    name: NAME,
    reason: Annotated[str, typer.Option(help="What its users are told.")] = "by hand",
    project: Project = IN_DEFAULT,
    home: Home = None,
) -> None:
    """Make a token useless until it is resumed."""
    with Hall(home=home) as hall:
        hall.people.suspend(name, project=project, reason=reason)
    say(f"token {name}: suspended")


@token.command()
def resume(name: NAME, project: Project = IN_DEFAULT, home: Home = None) -> None:
    """Make a suspended token useful again."""
    with Hall(home=home) as hall:
        hall.people.resume(name, project=project)
    say(f"token {name}: resumed")


@member.command("set")
def set_member(user: str, role: Role, project: Project = IN_DEFAULT, home: Home = None) -> None:
    """Give a user a role in a project."""
    with Hall(home=home) as hall:
        hall.people.set_member(project, user, role)
    say(f"{user}: {role} in {project}")


@member.command("remove")
def remove_member(user: str, project: Project = IN_DEFAULT, home: Home = None) -> None:
    """Take a user's role in a project away."""
    with Hall(home=home) as hall:
        hall.people.set_member(project, user, None)
    say(f"{user}: no part in {project} any more")


def _limits(said: list[str]) -> dict[str, list[str]]:
    """`requests=60/minute` → {"requests": ["60/minute"]}; what a rate is, the hall says."""
    limits: dict[str, list[str]] = {}
    for text in said:
        measure, equals, rate = text.partition("=")
        if not equals:
            raise Rejected(f"{text!r} is no limit; write one such as requests=60/minute", field="limit")
        limits.setdefault(measure, []).append(rate)
    return limits


def seconds(text: str, option: str) -> float:
    """`12h` → 43200.0; raises Rejected for what is no span of time."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise Rejected(f"{text!r} is no span of time; write it as 30d, 12h, 45min or 90s", field=option)
    return float(match[1]) * UNITS_S[match[2]]
