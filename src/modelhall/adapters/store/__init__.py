"""Stores: where resources live. Port: `core.ports.store`. One file a system, each with a function `open_store`."""

from __future__ import annotations

import importlib
from typing import cast

from modelhall.core.errors import Rejected
from modelhall.core.ports.store import Store

SCHEMES = {"sqlite": "sqlite", "postgresql": "postgres", "postgres": "postgres"}
"""The file that answers for the URLs of a scheme. A client library is imported only by whoever needs it."""


def open_store(url: str, *, writable: bool = True) -> Store:
    """The store at `url`, such as sqlite:///var/hall/hall.db. A URL may hold a password, and is quoted nowhere.

    Raises Rejected when it is none, or of a newer hall, and NotNow when it cannot be reached.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in SCHEMES:
        said = f"begins with {scheme!r}" if separator else "has no scheme"
        raise Rejected(
            f"the URL of the store {said}; write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE",
            field="store",
        )
    try:
        module = importlib.import_module(f"{__name__}.{SCHEMES[scheme]}")
    except ImportError as error:
        if error.name is not None and error.name.startswith("modelhall"):
            raise
        raise Rejected(
            f"a store at {scheme}:// needs a package that is not there ({error}); "
            f"pip install 'modelhall[{SCHEMES[scheme]}]'",
            field="store",
        ) from error
    return cast(Store, module.open_store(url, writable=writable))
