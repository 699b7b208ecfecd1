"""Which names this hall answers to, and from which web sites it takes orders.

A browser can be made to send a request here by any page it shows. Two things it says cannot be forged by the page:
the name under which it believes to have reached us (`Host`), which is not ours when somebody else's name was made to
point here (DNS rebinding), and the site that the page came from (`Origin`).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from modelhall.core.errors import Denied, Rejected
from modelhall.core.loopback import is_loopback

LOCAL = ("localhost", "127.0.0.1", "::1")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_KNOWN = 256
"""Spellings of our names, with their ports, that are remembered as checked."""
LONGEST_SHOWN = 80


class Sites:
    """The names that are ours. `*.example.org` stands for all names one level below."""

    def __init__(self, names: Iterable[str], hosts: Iterable[str] = ()) -> None:
        """`names` and addresses of this hall; `hosts` are more of them, such as a proxy's, whose pages are ours as
        well, so with a port where it is not that of the scheme."""
        self._pages = frozenset(host.lower() for host in hosts)
        self._names = frozenset(name_in(name.lower()) for name in (*LOCAL, *names, *self._pages))
        self._known: set[bytes] = set()

    def check_host(self, host: bytes | None) -> None:
        """Raises Rejected (421) when a request is for somebody else."""
        if host in self._known:
            return
        name = name_in((host or b"").decode("latin-1").lower())
        if name not in self._names and f"*.{name.partition('.')[2]}" not in self._names:
            raise Rejected(
                f"this hall is not {name[:LONGEST_SHOWN]!r}; ask it by a name of its own, or add the name to the "
                "setting `hosts`",
                status=421,
            )
        if host is not None and len(self._known) < MOST_KNOWN:
            self._known.add(host)

    def check_origin(self, method: str, origin: bytes, host: bytes | None) -> None:
        """Raises Denied when a page of another site wants something changed."""
        if method in READING:
            return
        authority = origin.partition(b"://")[2].lower()
        if authority and (authority == (host or b"").lower() or authority.decode("latin-1") in self._pages):
            return
        shown = origin.decode("latin-1")[:LONGEST_SHOWN]
        raise Denied(f"a page of {shown!r} may not change anything here; if it is yours, add it to `hosts`")


def name_in(authority: str) -> str:
    """The name in `name:port`, `[::1]:port` or a name alone."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    if authority.count(":") > 1:
        return authority
    return authority.partition(":")[0].removesuffix(".")


def is_on_loopback(url: str) -> bool:
    """Whether a URL leads to the very machine that asks."""
    return is_loopback(urlsplit(url).hostname or "")
