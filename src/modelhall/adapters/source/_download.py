"""One file over HTTP, to the disk: as a whole or not at all, resumed where it was cut off, never past the limits."""

from __future__ import annotations

import hashlib
import http.client
import re
from collections.abc import Iterator
from pathlib import Path

from modelhall.adapters.source import _guard, _http, _room
from modelhall.core import files
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.source import Access
from modelhall.core.source_url import SourceUrl

MOST_TRIES = 5
_BLOCK = 2**20


def download(url: SourceUrl, target: Path, access: Access, *, resolve: _guard.Resolve) -> None:
    """Fetch `url` to `target`, unless it is there from an earlier attempt. Raises Rejected for what is too large or
    is not what its digest says, NotNow for what broke off again and again."""
    if target.exists():
        return
    part = target.with_name(f"{target.name}.part")
    for tries_left in reversed(range(MOST_TRIES)):
        before = part.stat().st_size if part.exists() else 0
        try:
            _go_on(url, part, access, resolve)
            break
        except NotNow:
            # Only what has got on is asked again at once; all else is left to the run's next attempt.
            if not tries_left or not part.exists() or part.stat().st_size <= before:
                raise
    _check_digest(url, part)
    part.rename(target)
    files.sync_folder(target.parent)
    _validator_of(part).unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _go_on(url: SourceUrl, part: Path, access: Access, resolve: _guard.Resolve) -> None:
    """Fetch what is missing of `part`, or all of it if the server's file is another one by now."""
    known = files.read_json(_validator_of(part)) or {}
    have = part.stat().st_size if part.exists() and known else 0
    headers = {"Range": f"bytes={have}-", "If-Range": known["validator"]} if have else {}
    with _http.answer_to("GET", url, access, headers, resolve=resolve) as response:
        if response.status == 416:
            part.unlink()
            raise NotNow(f"{url.name} changed while it was fetched", delay_s=_guard.RETRY_S)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Rejected(f"{url.name} is sent packed although it was not asked to be", field="source")
        start = _start(url, response, have)
        total = _total(response, start)
        _check_size(url, total or 0, access)
        files.write_json(
            _validator_of(part), {"validator": _validator(response)} if _validator(response) else {}
        )
        with _room.kept_for(url.name), part.open("r+b" if start else "wb") as file:
            file.seek(start)
            for block in _blocks(url, response):
                _check_size(url, file.tell() + len(block), access)
                file.write(block)
            if total is not None and file.tell() != total:
                raise NotNow(
                    f"{url.name} broke off after {file.tell():,} of {total:,} bytes", delay_s=_guard.RETRY_S
                )


def _start(url: SourceUrl, response: http.client.HTTPResponse, have: int) -> int:
    """The byte the answer begins at: as asked, or 0 when the server sends all of it."""
    if response.status != 206:
        return 0
    told = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if told is None or int(told[1]) != have:
        raise Rejected(f"{url.name} sends another part than was asked for", field="source")
    return have


def _total(response: http.client.HTTPResponse, start: int) -> int | None:
    """How large the whole file is, if the server says so."""
    told = response.headers.get("Content-Length", "")
    return start + int(told) if told.isdecimal() else None


def _blocks(url: SourceUrl, response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _http.telling(url):
            try:
                block = response.read(_BLOCK)
            except http.client.IncompleteRead as error:
                block = error.partial
        if not block:
            return
        yield block


def _check_size(url: SourceUrl, size: int, access: Access) -> None:
    limit = access.rules.limits.download_bytes
    if size > limit:
        raise Rejected(
            f"{url.name} is larger than {limit:,} bytes (setting `source_download_bytes`)", field="source"
        )


def _check_digest(url: SourceUrl, part: Path) -> None:
    pinned = url.told.get("sha256")
    if pinned is not None and (found := digest_of(part)) != pinned:
        part.unlink()
        raise Rejected(f"{url.name} has the SHA-256 {found}, not {pinned} as it is pinned to", field="source")


def _validator(response: http.client.HTTPResponse) -> str | None:
    """What tells that the file is still the same one: its ETag if that is a strong one, or when it was changed."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _validator_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
