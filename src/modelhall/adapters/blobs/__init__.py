"""Where artifacts live: one file a URL scheme, each with a function `open_blobs(url)`."""

from __future__ import annotations

from typing import cast

from modelhall.core import plugins
from modelhall.core.ports.blobs import Blobs


def open_blobs(url: str) -> Blobs:
    """The blobs at `url`, such as folder:///var/hall/blobs."""
    return cast(Blobs, plugins.load_for_url("blobs", url).open_blobs(url))
