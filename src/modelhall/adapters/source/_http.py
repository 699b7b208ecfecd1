"""HTTP for sources: one request to a checked address, its redirects checked again, its answer bounded."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from modelhall.adapters.source import _guard, _secret
from modelhall.core import source_url
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.source import Access, Reach
from modelhall.core.source_url import SourceUrl

PORTS = {"http": 80, "https": 443}
MOST_REDIRECTS = 5
_TIMEOUT_S = 20.0
_LONGEST_WAIT_S = 3600.0
_REDIRECTS = (301, 302, 303, 307, 308)


@contextmanager
def answer_to(
    method: str,
    url: SourceUrl,
    access: Access,
    headers: Mapping[str, str],
    *,
    resolve: _guard.Resolve,
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request, after redirects, if it is a success or 416. Raises Rejected for what the caller must
    change, NotNow for what time may."""
    sent = {"Accept-Encoding": "identity", **headers, **_credentials(url, access)}
    for _ in range(MOST_REDIRECTS + 1):
        connection = _Pinned(url, access.rules.reach, resolve)
        try:
            with telling(url):
                connection.request(method, _target(url), headers=sent)
                response = connection.getresponse()
            if response.status not in _REDIRECTS:
                _check(url, response)
                yield response
                return
            following = _following(url, response)
        finally:
            connection.close()
        if (following.scheme, following.host, following.port) != (url.scheme, url.host, url.port):
            sent.pop("Authorization", None)
        url = following
    raise Rejected(f"{url.name} is redirected more than {MOST_REDIRECTS} times", field="source")


@contextmanager
def telling(url: SourceUrl) -> Iterator[None]:
    """What goes wrong on the way, in words."""
    try:
        yield
    except ssl.SSLError as error:
        raise Rejected(f"{url.host} cannot be trusted: {error.reason}", field="source") from None
    except (OSError, http.client.HTTPException) as error:
        said = str(error) or type(error).__name__
        raise NotNow(f"{url.host} cannot be reached: {said}", delay_s=_guard.RETRY_S) from None


class _Pinned(http.client.HTTPConnection):
    """A connection to the address that was checked, under the name that was asked for."""

    def __init__(self, url: SourceUrl, reach: Reach, resolve: _guard.Resolve) -> None:
        if url.scheme not in PORTS or not url.host or url.user:
            raise Rejected(f"{url.name} is not http:// or https:// and a host", field="source")
        port = url.port or PORTS[url.scheme]
        self._address = _guard.checked_address(url.host, port, reach, resolve)
        self._encrypted = url.scheme == "https"
        super().__init__(url.host, port, timeout=_TIMEOUT_S)

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._encrypted:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)

    @property
    def default_port(self) -> int:  # type: ignore[override]
        """The port that the Host header leaves out."""
        return PORTS["https" if self._encrypted else "http"]


def _credentials(url: SourceUrl, access: Access) -> dict[str, str]:
    """The secret the URL names, as a bearer token."""
    token = _secret.of(url, access)
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _target(url: SourceUrl) -> str:
    """Path and query as they are sent: what is no ASCII, percent-encoded."""
    text = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return "".join(
        char if char.isascii() else "".join(f"%{byte:02X}" for byte in char.encode()) for char in text
    )


def _following(url: SourceUrl, response: http.client.HTTPResponse) -> SourceUrl:
    """Where a redirect leads; what was told to the hall alone stays with it."""
    location = response.headers.get("Location", "").partition("#")[0]
    if location.startswith("/") and not location.startswith("//"):
        path, _, query = location.partition("?")
        return replace(source_url.parse(f"{url.name}"), path=path, query=query, told=url.told)
    following = source_url.parse(location)
    if url.scheme == "https" and following.scheme != "https":
        raise Rejected(f"{url.name} is redirected from https to {following.scheme}", field="source")
    return replace(following, told=url.told)


def _check(url: SourceUrl, response: http.client.HTTPResponse) -> None:
    status = response.status
    if status < 300 or status == 416:
        return
    said = f"{url.name} answers {status} {response.reason}"
    if status in (401, 403):
        raise Rejected(f"{said}; name the secret to ask with by #secret=NAME", field="source")
    if status in (408, 425, 429) or status >= 500:
        raise NotNow(said, delay_s=_wait_s(response))
    raise Rejected(said, field="source")


def _wait_s(response: http.client.HTTPResponse) -> float:
    """How long the server wants to be left alone."""
    told = response.headers.get("Retry-After", "")
    return min(float(told), _LONGEST_WAIT_S) if told.isdecimal() else _guard.RETRY_S
