"""A disk that fills up while something is fetched: said as what it is, and tried again once there is room."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from modelhall.core.errors import Full

_RETRY_S = 60.0


@contextmanager
def kept_for(name: str) -> Iterator[None]:
    """Raise Full instead of the system's error when there is no room for `name`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(f"no room on the disk to fetch {name}", delay_s=_RETRY_S) from None
        raise
