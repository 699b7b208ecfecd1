"""Caches of answers. Port: `core.ports.cache`. One file a system, called as the scheme of its URLs, each with a
function `open_cache`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import cast

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.core.ports.cache import Cache

SAME = {"rediss": "redis", "valkey": "redis", "valkeys": "redis"}
"""Further schemes that a file answers for."""


def open_cache(url: str, *, wait_s: float, now: Callable[[], float]) -> Cache:
    """The cache at `url`, such as memory://?mib=64, which answers or gives up within `wait_s`. A URL may hold a
    password, and is quoted nowhere. `now` is a clock that never jumps.

    Raises Rejected when there is no such cache, or it needs a package that is not there.
    """
    scheme, _, rest = url.partition("://")
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    name = SAME.get(scheme, scheme)
    if name not in names:
        raise Rejected(
            f"no cache speaks {scheme[:20]!r}; {did_you_mean(scheme, [*names, *SAME])}", field="cache"
        )
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except ImportError as error:
        raise Rejected(
            f"a cache at {scheme}:// needs a package that is not there ({error}); "
            f"pip install 'modelhall[{name}]'",
            field="cache",
        ) from error
    return cast(Cache, module.open_cache(f"{scheme}://{rest}", wait_s=wait_s, now=now))
