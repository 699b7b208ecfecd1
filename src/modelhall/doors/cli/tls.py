"""Commands for certificates: tls init, tls renew, tls show."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelhall import settings
from modelhall.core.errors import NotFound
from modelhall.doors.cli.terminal import Form, Home, Output, say, show
from modelhall.trust.tls import CA, FOLDER, SERVER

if TYPE_CHECKING:
    from modelhall.trust.certificates import Certificate

tls = typer.Typer(help="Certificates with which both doors speak TLS.", no_args_is_help=True)

Names = Annotated[
    list[str] | None,
    typer.Option("--name", help="A host name or address it is reached by; may be given several times."),
]


def add_to(cli: typer.Typer) -> None:
    cli.add_typer(tls, name="tls")


@tls.command()
def init(name: Names = None, output: Output = Form.table, home: Home = None) -> None:
    """Make an authority of the hall's own, and a certificate for this machine and the names given."""
    # Imported here and below because it takes a twentieth of a second that no other command needs.
    from modelhall.trust.certificates import make

    folder = _folder(home)
    made = make(folder, name or [socket.gethostname()], time.time())
    _tell(made, folder, output)
    if output is Form.table:
        say(f"clients elsewhere need {folder / CA} (MODELHALL_CA); it is no secret, its key beside it is")


@tls.command("renew")
def again(name: Names = None, output: Output = Form.table, home: Home = None) -> None:
    """Make a new certificate by the same authority; a hall that is up shows it within a second."""
    from modelhall.trust.certificates import renew

    folder = _folder(home)
    _tell(renew(folder, name or None, time.time()), folder, output)


@tls.command("show")
def what_is_there(output: Output = Form.table, home: Home = None) -> None:
    """For which names the certificate is, and when it ends."""
    from modelhall.trust.certificates import read

    chosen = settings.load(home=home)
    folder = chosen.home / FOLDER
    path = chosen.tls_certificate or folder / SERVER
    if not path.exists():
        raise NotFound(f"there is no certificate {path}; `hall tls init` makes one")
    _tell(read(path), folder, output)


def _tell(certificate: Certificate, folder: Path, output: Form) -> None:
    days = certificate.days_left(time.time())
    ends = datetime.fromtimestamp(certificate.ends_at, UTC).strftime("%Y-%m-%d")
    authority = folder / CA
    data = {
        "certificate": str(certificate.path),
        "names": list(certificate.names),
        "ends": ends,
        "days_left": round(days, 1),
        "fingerprint": certificate.fingerprint,
        "authority": str(authority) if authority.exists() else None,
    }
    left = f"in {days:.0f} days" if days >= 0 else "it is over: `hall tls renew`"
    rows = [
        ("certificate", str(certificate.path)),
        ("names", ", ".join(certificate.names)),
        ("ends", f"{ends}, {left}"),
        ("sha-256", certificate.fingerprint),
    ]
    show(output, data, ("", ""), rows)


def _folder(home: str | None) -> Path:
    chosen = settings.load(home=home)
    return chosen.home / FOLDER
