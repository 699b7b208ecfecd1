"""The files that pages load: each by a path of its own that changes with its content, so that browsers keep them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

FOLDER = Path(__file__).with_name("static")
KEPT = "public, max-age=31536000, immutable"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
FILES = sorted(path for path in FOLDER.rglob("*") if path.suffix in TYPES)
STAMP = hashlib.sha256(b"".join(path.read_bytes() for path in FILES)).hexdigest()[:12]
"""Of all of them: they refer to each other."""
PATHS = {f"/static/{STAMP}/{path.relative_to(FOLDER).as_posix()}": path for path in FILES}


def url(name: str) -> str:
    """Where a file is, such as `console.css`."""
    return f"/static/{STAMP}/{name}"


def _route(path: Path) -> Callable[[], Awaitable[Response]]:
    content, media_type = path.read_bytes(), TYPES[path.suffix]

    async def asset() -> Response:
        headers = {"cache-control": KEPT, "x-content-type-options": "nosniff"}
        return Response(content, media_type=media_type, headers=headers)

    return asset


router = APIRouter(include_in_schema=False)
for _place, _file in PATHS.items():
    router.add_api_route(_place, _route(_file), methods=["GET"])
