"""Where a hall is, and who vouches for it: from what a caller gives, the settings, and a home on this machine."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from modelhall import settings
from modelhall.core import files
from modelhall.core.errors import Denied, NotNow
from modelhall.settings import Settings
from modelhall.trust.tls import CA, FOLDER, client_context
from modelhall.trust.tokens import read_token


class Place(NamedTuple):
    """All it takes to ask a hall."""

    address: str
    gateway: str | None
    token: str
    tls: ssl.SSLContext
    find_again: Callable[[], str] | None
    """The address a hall on this machine has after it was away; raises NotNow while it is."""


def find(
    address: str | None,
    *,
    gateway: str | None,
    token: str | None,
    home: str | Path | None,
    ca: str | Path | None,
) -> Place:
    """What is not given comes from the settings, and else from the home. Raises NotNow when no hall is up there."""
    chosen = settings.load(home=home)
    tls = client_context(Path(ca) if ca is not None else authority_of(chosen, is_local=address is None))
    address, gateway = address or chosen.address or None, gateway or chosen.gateway_address or None
    token = token or (chosen.token.get_secret_value() if chosen.token else None)
    if address is not None and token is not None:
        return Place(address, gateway, token, tls, None)
    local_address, local_gateway, local_token = _local(chosen.home, token)
    if address is not None:
        return Place(address, gateway or local_gateway, local_token, tls, None)
    # A port of its own at every start.
    find_again = lambda: _local(chosen.home, token)[0]  # noqa: E731
    return Place(local_address, gateway or local_gateway, local_token, tls, find_again)


def authority_of(chosen: Settings, *, is_local: bool) -> Path | None:
    """Who vouches for a hall: the authority of the setting `ca`, or a hall's own on its machine; None for those that
    the machine trusts."""
    own = chosen.home / FOLDER / CA
    return chosen.ca or (own if is_local and chosen.tls_certificate is None and own.exists() else None)


def _local(home: Path, token: str | None) -> tuple[str, str, str]:
    """Address, gateway and token of the hall in `home`; its first token if none is given."""
    where = files.read_json(home / "hall.json")
    if where is None:
        raise NotNow(f"no hall is up in {home}; start one with `hall up`", delay_s=1)
    token = token or read_token(home)
    if token is None:
        raise Denied(f"there is no token in {home}; `hall up` makes one when it starts")
    return where["address"], where["gateway"], token
