"""Objects in S3 and what speaks it: s3://BUCKET/some/prefix/*.parquet#secret=NAME, at the endpoint the operator sets.

The secret is JSON: `access_key_id`, `secret_access_key` and, if need be, `session_token`. Without one the bucket is
asked as anybody may; what the environment or the machine would give is never used for a user's URL.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from modelhall.adapters.source import _room, _secret
from modelhall.core import digest, source_url
from modelhall.core.errors import Broken, NotNow, Rejected
from modelhall.core.ports.source import Access, Found
from modelhall.core.source_url import SourceUrl

if TYPE_CHECKING:
    from obstore.store import S3Store

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEYS = {"access_key_id", "secret_access_key", "session_token"}
_REGION = "us-east-1"
_ITS_OWN = (PermissionError, FileNotFoundError)
"""Some of the library's errors are the system's."""
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_BLOCK = 8 * 2**20
_RETRY_S = 15.0
_TIMEOUT = timedelta(seconds=60)


class _Object(NamedTuple):
    key: str
    size: int
    tag: str | None


def find(url: str, access: Access) -> list[Found]:
    """The objects of the key, prefix or glob, fetched, in the order of their keys."""
    parsed = source_url.parse(url)
    if access.folder is None:
        raise Broken("there is no folder to fetch objects to")
    with _telling(parsed):
        store = _store(parsed, access)
        found = _objects(store, parsed)
        if (total := sum(item.size for item in found)) > access.rules.limits.download_bytes:
            raise Rejected(
                f"{parsed.name} holds {total:,} bytes; at most {access.rules.limits.download_bytes:,} are fetched "
                "(setting `source_download_bytes`)",
                field="source",
            )
        return [_fetched(store, parsed, item, access.folder) for item in found]


def fingerprint(url: str, access: Access) -> str:
    """The digest of keys, sizes and ETags; no content is read."""
    parsed = source_url.parse(url)
    with _telling(parsed):
        return digest.of_json([list(item) for item in _objects(_store(parsed, access), parsed)])


def _store(url: SourceUrl, access: Access) -> S3Store:
    try:
        # Heavy, and of an extra: only who reads from S3 needs it.
        from obstore.store import S3Store
    except ImportError:
        raise Rejected(
            "s3:// needs the library obstore: pip install 'modelhall[s3]'", field="source"
        ) from None
    if not _BUCKET.fullmatch(url.host) or url.port is not None or url.query:
        raise Rejected(f"{url.name} is not s3://BUCKET/key, prefix/ or glob", field="source")
    endpoint = access.rules.reach.s3_endpoint
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    return S3Store(
        url.host,
        region=url.told.get("region", _REGION),
        client_options={"allow_http": endpoint.startswith("http://"), "timeout": _TIMEOUT},
        retry_config={"max_retries": 3, "retry_timeout": _TIMEOUT},
        **options,
        **_credentials(url, access),
    )


def _credentials(url: SourceUrl, access: Access) -> Mapping[str, Any]:
    secret = _secret.of(url, access)
    if secret is None:
        return {"skip_signature": True}
    try:
        keys = json.loads(secret)
    except ValueError:
        keys = None
    if (
        not isinstance(keys, dict)
        or not set(keys) <= _KEYS
        or not all(isinstance(k, str) for k in keys.values())
    ):
        raise Rejected(
            f"the secret {url.told['secret']!r} is not JSON with {', '.join(sorted(_KEYS))}", field="source"
        )
    return keys


def _objects(store: S3Store, url: SourceUrl) -> list[_Object]:
    """What the path means: a key, all keys below a prefix, or those that fit a glob."""
    import obstore

    pattern = url.inner
    fixed = pattern if not glob.has_magic(pattern) else pattern[: re.search(r"[*?\[]", pattern).start()]  # type: ignore[union-attr]
    folder = fixed.rpartition("/")[0] if not fixed.endswith("/") else fixed.rstrip("/")
    listed = [
        _Object(str(item["path"]), int(item["size"]), item["e_tag"])
        for page in obstore.list(store, folder or None)
        for item in page
    ]
    found = sorted(item for item in listed if _is_meant(item.key, pattern))
    if not found:
        raise Rejected(f"nothing found at {url.name}", field="source")
    return found


def _is_meant(key: str, pattern: str) -> bool:
    if any(part.startswith(".") for part in PurePosixPath(key).parts):
        return False
    if key == pattern or key.startswith(f"{pattern.rstrip('/')}/") or not pattern:
        return True
    # As in a path: a star stays inside one folder.
    return key.count("/") == pattern.count("/") and all(
        fnmatch.fnmatchcase(part, of) for part, of in zip(key.split("/"), pattern.split("/"), strict=True)
    )


def _fetched(store: S3Store, url: SourceUrl, item: _Object, folder: Path) -> Found:
    """One object on the disk, as a whole; one of an earlier attempt that is still the same is taken as it is."""
    import obstore

    place = digest.of_json([url.host, *item])[:16]
    target = folder / place / PurePosixPath(item.key).name
    name = f"s3://{url.host}/{item.key}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        options: Any = {"if_match": item.tag} if item.tag else {}
        with _room.kept_for(name), part.open("wb") as file:
            for block in obstore.get(store, item.key, options=options).stream(min_chunk_size=_BLOCK):
                file.write(block)
                if file.tell() > item.size:
                    break
        if part.stat().st_size != item.size:
            raise NotNow(f"{name} changed while it was fetched", delay_s=_RETRY_S)
        part.rename(target)
    return Found(path=target, name=name)


@contextmanager
def _telling(url: SourceUrl) -> Iterator[None]:
    """What the service says, in words; all of it may hold a signature."""
    try:
        yield
    except Exception as error:
        # Its errors are named without importing it, which only those who read from S3 have to do.
        if not type(error).__module__.startswith("obstore") and not isinstance(error, _ITS_OWN):
            raise
        raise _refused(url, error) from None


def _refused(url: SourceUrl, error: Exception) -> Exception:
    sort, text = type(error).__name__, str(error)
    told = _STATUS.search(text)
    status, code = (told[1] if told else ""), _CODE.search(text)
    said = f"{sort} {code[1] if code else status}".strip()
    if status in ("401", "403") or sort in (
        "PermissionDeniedError",
        "UnauthenticatedError",
        "PermissionError",
    ):
        return Rejected(
            f"{url.name} may not be read so ({said}); name the secret with its keys by #secret=NAME",
            field="source",
        )
    if status == "404" or sort in ("NotFoundError", "FileNotFoundError"):
        return Rejected(f"nothing found at {url.name} ({said})", field="source")
    if sort == "PreconditionError":
        return NotNow(f"{url.name} changed while it was fetched", delay_s=_RETRY_S)
    return NotNow(f"{url.name} cannot be read for the moment ({said})", delay_s=_RETRY_S)
