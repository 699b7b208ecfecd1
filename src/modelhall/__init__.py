"""Modelhall: an AI data centre in one package.

`from modelhall import Hall` is the Python client; everything else is reached by the command `hall`.
The client is loaded on first use, so that a program the hall starts pays only for what it imports.
"""

from typing import TYPE_CHECKING, Any

from modelhall.version import __version__

if TYPE_CHECKING:
    from modelhall.doors.client import Hall

__all__ = ["Hall", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Hall":
        # Imported here because every stage and supervisor imports this package and none needs HTTP.
        from modelhall.doors.client import Hall

        return Hall
    raise AttributeError(f"module 'modelhall' has no attribute {name!r}")
