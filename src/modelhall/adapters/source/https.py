"""Files on the web: https://example.org/data.csv#sha256=… . Pinned to its digest, a file is known without a look."""

from __future__ import annotations

from pathlib import PurePosixPath

from modelhall.adapters.source import _guard, _http
from modelhall.adapters.source._download import download
from modelhall.core import digest, source_url
from modelhall.core.errors import Broken, Rejected
from modelhall.core.ports.source import Access, Found
from modelhall.core.source_url import SourceUrl


def find(url: str, access: Access, resolve: _guard.Resolve = _guard.resolve) -> list[Found]:
    """The one file, fetched. Raises Rejected and NotNow as ports.source says."""
    parsed = source_url.parse(url)
    name = PurePosixPath(parsed.inner).name
    if not name:
        raise Rejected(f"{parsed.name} names a host and no file", field="source")
    if access.folder is None:
        raise Broken("there is no folder to fetch files to")
    # By what it was asked for, since two files of one name are two files.
    target = access.folder / digest.of_json(url)[:16] / name
    target.parent.mkdir(parents=True, exist_ok=True)
    download(parsed, target, access, resolve=resolve)
    return [Found(path=target, name=parsed.name)]


def fingerprint(url: str, access: Access, resolve: _guard.Resolve = _guard.resolve) -> str:
    """The digest it is pinned to; else what the server tells without sending it: ETag, time of change, size."""
    parsed = source_url.parse(url)
    return parsed.told.get("sha256") or digest.of_json(_head(parsed, access, resolve))


def _head(url: SourceUrl, access: Access, resolve: _guard.Resolve) -> list[str | None]:
    with _http.answer_to("HEAD", url, access, {}, resolve=resolve) as response:
        return [response.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")]
