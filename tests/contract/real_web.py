"""A real web server on loopback for tests, which behaves and misbehaves as it is told."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any


class RealWeb:
    """What the server has, what it answers, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        """Path → a status and headers, instead of a file."""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of each request."""
        self.cut_after: int | None = None
        """Breaks each answer off after so many bytes."""
        self.tags = True
        self.port = 0
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[RealWeb]:
    """A server that runs until the block ends."""
    web = RealWeb()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(web))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        web.scheme = "https"
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


def _handler(web: RealWeb) -> Callable[..., http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path
            web.asked.append((self.command, path, dict(self.headers)))
            if path in web.redirects:
                return self._say(302, {"Location": web.redirects[path]})
            if path in web.answers:
                return self._say(*web.answers[path])
            content = web.files.get(path)
            if content is None:
                return self._say(404, {})
            self._send(content)

        do_HEAD = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

        def _say(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def _send(self, content: bytes) -> None:
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            start = self._start(tag)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if web.tags:
                self.send_header("ETag", tag)
            self.end_headers()
            if self.command == "HEAD":
                return
            end = None if web.cut_after is None else start + web.cut_after
            self.wfile.write(content[start:end])
            if end is not None and end < len(content):
                self.close_connection = True

        def _start(self, tag: str) -> int:
            """Where a range begins that is asked for and still holds."""
            asked = self.headers.get("Range", "")
            if not asked or self.headers.get("If-Range") != tag:
                return 0
            return int(asked.removeprefix("bytes=").rstrip("-"))

    return Handler
