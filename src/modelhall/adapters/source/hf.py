"""Data sets and models of the Hugging Face hub: hf://datasets/ORG/NAME/*.parquet, hf://models/ORG/NAME, or
NAME@REVISION.

Read from the operator's mirror, a folder laid out as the hub's own cache (`hf download --cache-dir` fills one); what
is not there is fetched from the hub, where the operator lets sources ask it.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from modelhall.adapters.source import _guard, _http, https, path
from modelhall.core import digest, source_url
from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Access, Found

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_SORTS = ("datasets", "models")
_LARGEST_LIST = 64 * 2**20


class _Meant(NamedTuple):
    """A repository, its revision and the files of it."""

    sort: str
    """datasets or models."""
    repository: str
    revision: str
    pattern: str

    def named(self, file: str) -> str:
        return f"hf://{self.sort}/{self.repository}@{self.revision}/{file}"

    def place(self, file: str) -> str:
        """Where the hub has a file."""
        above = "" if self.sort == "models" else f"{self.sort}/"
        return f"{above}{self.repository}/resolve/{self.revision}/{quote(file)}"


def find(url: str, access: Access, resolve: _guard.Resolve = _guard.resolve) -> list[Found]:
    """The files of the pattern, by the commit they are of. Raises Rejected when there is none."""
    at, files = _looked_up(_meant(url), access, resolve)
    return [
        Found(path=where, name=at.named(file))
        if where is not None
        else Found(path=_fetched(at, file, access, resolve), name=at.named(file))
        for file, where in files.items()
    ]


def fingerprint(url: str, access: Access, resolve: _guard.Resolve = _guard.resolve) -> str:
    """The commit the revision means now, and the names of the files."""
    at, files = _looked_up(_meant(url), access, resolve)
    return digest.of_json([*at, *files])


def _looked_up(
    meant: _Meant, access: Access, resolve: _guard.Resolve
) -> tuple[_Meant, dict[str, Path | None]]:
    """The same at its commit, and the files of the pattern: where each lies in the mirror, None for one that the hub
    has. Raises Rejected when there is none."""
    folder = _snapshot(meant, access)
    found: dict[str, Path | None]
    if folder is not None:
        at = meant._replace(revision=folder.name)
        here = path.files_in(folder, meant.pattern, inside=folder.parents[1])
        found = {file.relative_to(folder).as_posix(): file for file in here}
    else:
        told = _told_by_hub(meant, access, resolve)
        at = meant._replace(revision=told["sha"])
        found = dict.fromkeys(_chosen(told, meant))
    if access.wanted:
        found = {file: where for file, where in found.items() if _is_wanted(file, access)}
    if not found:
        raise Rejected(f"{meant.repository} has nothing at {meant.pattern!r}", field="source")
    return at, found


def _meant(url: str) -> _Meant:
    parsed = source_url.parse(url)
    organisation, _, rest = parsed.inner.partition("/")
    name, _, pattern = rest.partition("/")
    name, _, revision = name.partition("@")
    sound = (
        _WORD.fullmatch(organisation) and _WORD.fullmatch(name) and _REVISION.fullmatch(revision or "main")
    )
    sort = parsed.host if parsed.host in _SORTS else _SORTS[0]
    if parsed.host != sort or not sound or ".." in Path(rest).parts or parsed.query:
        raise Rejected(f"{parsed.name} is not hf://{sort}/ORG/NAME[@REVISION]/files", field="source")
    return _Meant(sort, f"{organisation}/{name}", revision or "main", pattern or "**")


def _snapshot(meant: _Meant, access: Access) -> Path | None:
    """Where the mirror has this revision; None when it has not. Raises Rejected when there is no other place."""
    reach = access.rules.reach
    if reach.hf_mirror:
        folder = Path(reach.hf_mirror) / f"{meant.sort}--{meant.repository.replace('/', '--')}"
        reference = folder / "refs" / meant.revision
        commit = reference.read_text().strip() if reference.is_file() else meant.revision
        if _WORD.fullmatch(commit) and (snapshot := folder / "snapshots" / commit).is_dir():
            return snapshot
    if not reach.hf_endpoint:
        where = (
            f"in the mirror {reach.hf_mirror}"
            if reach.hf_mirror
            else "here, which has no mirror (setting `hf_mirror`)"
        )
        raise Rejected(
            f"there is no {meant.repository}@{meant.revision} {where}, and the hub may not be asked (setting "
            "`hf_endpoint`)",
            field="source",
        )
    return None


def _told_by_hub(meant: _Meant, access: Access, resolve: _guard.Resolve) -> Mapping[str, Any]:
    """The commit of the revision and its files, as the hub tells them."""
    place = f"api/{meant.sort}/{meant.repository}/revision/{quote(meant.revision, safe='')}"
    url = source_url.parse(f"{access.rules.reach.hf_endpoint}/{place}")
    with _http.answer_to("GET", url, access, {}, resolve=resolve) as response, _http.telling(url):
        text = response.read(_LARGEST_LIST)
    try:
        told = json.loads(text)
        names = [str(file["rfilename"]) for file in told["siblings"]]
        return {"sha": str(told["sha"]), "files": names}
    except (ValueError, KeyError, TypeError):
        raise Rejected(f"{url.name} does not answer as the hub does", field="source") from None


def _chosen(told: Mapping[str, Any], meant: _Meant) -> list[str]:
    wanted = meant.pattern.removesuffix("/**").rstrip("/")
    return sorted(
        name
        for name in told["files"]
        if not any(part.startswith(".") for part in name.split("/"))
        and (meant.pattern == "**" or fnmatch.fnmatchcase(name, wanted) or name.startswith(f"{wanted}/"))
    )


def _is_wanted(file: str, access: Access) -> bool:
    return any(fnmatch.fnmatchcase(file, pattern) for pattern in access.wanted)


def _fetched(meant: _Meant, file: str, access: Access, resolve: _guard.Resolve) -> Path:
    (found,) = https.find(f"{access.rules.reach.hf_endpoint}/{meant.place(file)}", access, resolve)
    return found.path
