"""The one form of `multipart/form-data` that is read: parts with a name each, once, as RFC 7578 has them."""

from __future__ import annotations

import re
from typing import NamedTuple

from modelhall.core.errors import Rejected

_BOUNDARY = re.compile(
    rb"multipart/form-data;(?:.*;)?\s*boundary=\"?([0-9A-Za-z'()+_,./:=? -]{1,70}?)\"?\s*", re.I
)
_NAME = re.compile(rb'\bname="([^"\\\r\n]{1,80})"', re.I)
_FILE = re.compile(rb'\bfilename="([^"\r\n]{0,255})"', re.I)
MOST_PARTS = 16
LONGEST_HEAD = 2048


class Part(NamedTuple):
    filename: str | None
    content: bytes


def read(body: bytes, content_type: bytes) -> dict[str, Part]:
    """The parts of a body by name; raises Rejected."""
    match = _BOUNDARY.fullmatch(content_type)
    if match is None:
        raise Rejected("a file is sent as multipart/form-data with a boundary", status=415)
    mark = b"\r\n--" + match[1]
    start, *parts = (b"\r\n" + body).split(mark, MOST_PARTS + 2)
    if start or len(parts) < 2 or parts[-1].rstrip(b" \t\r\n") != b"--" or len(parts) > MOST_PARTS + 1:
        raise Rejected(f"the body is no multipart of at most {MOST_PARTS} parts with this boundary")
    found: dict[str, Part] = {}
    for part in parts[:-1]:
        name, one = _part(part)
        if name in found:
            raise Rejected(f"the part {name!r} is there twice", field=name)
        found[name] = one
    return found


def _part(part: bytes) -> tuple[str, Part]:
    head, end, content = part.partition(b"\r\n\r\n")
    line = next(
        (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-disposition:")), b""
    )
    name = _NAME.search(line)
    if not end or name is None or len(head) > LONGEST_HEAD:
        raise Rejected("a part of the body has no content-disposition with a name")
    filename = _FILE.search(line)
    told = filename[1].decode(errors="replace") if filename else None
    return name[1].decode("latin-1"), Part(told, content)
