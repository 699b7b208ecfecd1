"""Where artifacts live: one file a URL scheme, each with a function `open_blobs(url, keys)`."""

from __future__ import annotations

from typing import cast

from modelhall.core import plugins
from modelhall.core.ports.blobs import Blobs
from modelhall.core.sealing import KeySet


def open_blobs(url: str, keys: KeySet | None = None) -> Blobs:
    """The blobs at `url`, such as folder:///var/hall/blobs/vision, read and sealed with the keys of their project."""
    return cast(Blobs, plugins.load_for_url("blobs", url).open_blobs(url, keys))
