"""Data inside an installed package: package://sklearn/datasets/data/digits.csv.gz.

The package is found, not imported. The inner path may be a folder or a glob and may not lead out of the package.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from modelhall.adapters.source import path as local
from modelhall.core import digest
from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Found


def find(url: str) -> list[Found]:
    """The files at the inner path, named by URLs, so that lineage is the same on every machine."""
    package, folder, inner = _locate(url)
    try:
        files = local.find(str(folder / inner))
    except Rejected:
        raise Rejected(f"package {package!r} has nothing at {inner!r}", field="source") from None
    found = []
    for file in files:
        if not file.path.resolve().is_relative_to(folder.resolve()):
            raise Rejected(f"{url} leads out of the package {package!r}", field="source")
        found.append(
            Found(path=file.path, name=f"package://{package}/{file.path.relative_to(folder).as_posix()}")
        )
    return found


def fingerprint(url: str) -> str:
    """The digest of names, sizes and times of change; no content is read."""
    stats = [(file.name, file.path.stat()) for file in find(url)]
    return digest.of_json([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


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
