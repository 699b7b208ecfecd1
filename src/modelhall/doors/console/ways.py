"""Where a browser is sent: to sign in first, and back to where somebody was; never to another site."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from starlette.responses import RedirectResponse

SIGN_IN = "/sign-in"
_OWN = re.compile(r"/(?:[^/\\\x00-\x1f][^\\\x00-\x1f]*)?")


def own_path(wanted: str) -> str:
    """`wanted` if it is a path of ours, else the first page: `//elsewhere` and `/\\elsewhere` are other sites."""
    return wanted if _OWN.fullmatch(wanted) else "/"


def wants_page(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether somebody at a browser asks who shows no token, so that a page is of more use to him than an error."""
    return method == "GET" and b"text/html" in headers.get(b"accept", b"") and b"authorization" not in headers


def to_sign_in(path: str, query: str) -> RedirectResponse:
    """On to the page where people sign in, and back from there."""
    wanted = f"{path}?{query}" if query else path
    where = SIGN_IN if wanted == "/" else f"{SIGN_IN}?back={quote(wanted, safe='/')}"
    return RedirectResponse(where, status_code=303, headers={"cache-control": "no-store"})
