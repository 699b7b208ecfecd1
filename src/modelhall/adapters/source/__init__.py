"""Where data sets come from: one file a URL scheme, `path` for what has none.

A file here is a module with the two functions of core/ports/source.py. What it finds lies on this machine and
is read by the prepare stage; nothing here looks into a file.
"""

from __future__ import annotations

from typing import cast

from modelhall.core import plugins
from modelhall.core.ports.source import Source


def source_for(url: str) -> Source:
    """The source that serves the scheme of `url`; raises Rejected, listing what there is, when none does."""
    return cast(Source, plugins.load_for_url("source", url, default="path", field="source"))
