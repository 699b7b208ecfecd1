"""URLs of sources, taken apart once: what is checked is what is used.

Two readings of one URL are how guards are led past (CVE-2026-24779): the guard reads one host, the client connects
to another. So there is one grammar, stricter than any library's, and whatever goes out is put together from its
parts.
What follows the # is told to the hall alone: `sha256=…`, `secret=NAME`, `region=…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import unquote

from modelhall.core.errors import Rejected
from modelhall.core.names import check_name, did_you_mean

_TOLD = ("sha256", "secret", "region")
_GRAMMAR = re.compile(
    r"(?P<scheme>[a-z][a-z0-9]*)://"
    r"(?:(?P<user>[A-Za-z0-9._~-]+)@)?"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])?"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#\\\s]*)?"
    r"(?:\?(?P<query>[^#\\\s]*))?"
    r"(?:#(?P<told>[A-Za-z0-9=&._-]*))?"
)
_PASSWORD = re.compile(r"[a-z0-9]+://[^/?#]*:[^/?#]*@")


@dataclass(frozen=True, kw_only=True)
class SourceUrl:
    """The parts of a URL, as they stand in it."""

    scheme: str
    user: str
    host: str
    """Lower-case; an IPv6 address without its brackets."""
    port: int | None
    path: str
    """With the leading slash, percent-encoded as it was."""
    query: str
    told: Mapping[str, str]

    @property
    def name(self) -> str:
        """How lineage names it: without what may hold a signature or is told to the hall alone."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def inner(self) -> str:
        """The path as it is meant: decoded, without the leading slash."""
        return unquote(self.path.removeprefix("/"))


def parse(url: str) -> SourceUrl:
    """Take `url` apart; raises Rejected for what has a second reading, and for a password in it."""
    if _PASSWORD.match(url):
        raise Rejected(
            "a password in a URL can be read by all who read the hall file; keep it with `hall secret put NAME` and "
            "end the URL in #secret=NAME",
            field="source",
        )
    match = _GRAMMAR.fullmatch(url)
    if match is None or not url.isprintable():
        raise Rejected(
            f"{url!r} is not a URL of the form SCHEME://HOST/PATH; blanks, backslashes and the like in it are "
            "written in percent-encoding",
            field="source",
        )
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise Rejected(f"{url!r} names port {port}; there are 1 to 65535", field="source")
    return SourceUrl(
        scheme=match["scheme"],
        user=match["user"] or "",
        host=(match["host"] or "").strip("[]").lower(),
        port=port,
        path=match["path"] or "",
        query=match["query"] or "",
        told=MappingProxyType(_told(match["told"] or "")),
    )


def secret_named(url: str) -> str | None:
    """The name of the secret that `url` is read with; None when it says none, as a path here never does."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme in ("path", "package", "dataset"):
        return None
    return parse(url).told.get("secret")


def secrets_named(urls: Iterable[str]) -> tuple[str, ...]:
    """The names of all secrets that `urls` are read with."""
    return tuple(sorted({name for url in urls if (name := secret_named(url)) is not None}))


def _told(text: str) -> dict[str, str]:
    told: dict[str, str] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        if name not in _TOLD:
            raise Rejected(f"after # there may be no {name!r}; {did_you_mean(name, _TOLD)}", field="source")
        told[name] = value
    if "sha256" in told and not re.fullmatch(r"[0-9a-f]{64}", told["sha256"]):
        raise Rejected(f"a SHA-256 is 64 hex digits, not {told['sha256']!r}", field="source")
    if "region" in told and not re.fullmatch(r"[a-z0-9-]{1,32}", told["region"]):
        raise Rejected(f"{told['region']!r} is not the name of a region", field="source")
    if "secret" in told:
        try:
            check_name(told["secret"])
        except ValueError as error:
            raise Rejected(str(error), field="source") from None
    return told
