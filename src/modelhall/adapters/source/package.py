"""Data inside an installed package: package://sklearn/datasets/data/digits.csv.gz.

The package is found, not imported. The inner path may be a folder or a glob and may not lead out of the package.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from modelhall.adapters.source import path as local
from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Access, Found


def find(url: str, access: Access) -> list[Found]:
    """The files at the inner path, named by URLs, so that lineage is the same on every machine."""
    package, folder, inner = _locate(url)
    files = local.files_in(folder, inner)
    if not files:
        raise Rejected(f"package {package!r} has nothing at {inner!r}", field="source")
    return [
        Found(path=file, name=f"package://{package}/{file.relative_to(folder).as_posix()}") for file in files
    ]


def fingerprint(url: str, access: Access) -> str:
    """The digest of names, sizes and times of change; no content is read."""
    return local.fingerprint_of(find(url, access))


def _locate(url: str) -> tuple[str, Path, str]:
    """Package, its folder and the path inside it."""
    package, _, inner = url.removeprefix("package://").partition("/")
    if not package or not inner or inner.startswith("/") or ".." in Path(inner).parts:
        raise Rejected(f"{url!r} is not package://PACKAGE/inner/path", field="source")
    # Only a top-level name: finding a package inside another would import the outer one.
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise Rejected(f"no package {package!r} is installed here", field="source")
    return package, Path(next(iter(spec.submodule_search_locations))), inner
