"""Under which licence a base is, as far as it tells: nothing is guessed of what it does not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

_MOST_BYTES = 1 << 20
_RULE = "---\n"
_LONGEST = 200


def of_card(path: Path) -> str:
    """What the head of a model card says; empty when it says nothing that can be read."""
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES).decode(errors="replace").replace("\r\n", "\n")
    head, found, _ = text.removeprefix(_RULE).partition(f"\n{_RULE}")
    if not text.startswith(_RULE) or not found:
        return ""
    try:
        told: Any = yaml.safe_load(head)
    except yaml.YAMLError:
        return ""
    return word(told.get("license")) if isinstance(told, dict) else ""


def of_package(url: str) -> str:
    """What an installed package says of itself, for `package://NAME/…`; empty for any other base."""
    package = url.removeprefix("package://").partition("/")[0]
    for distribution in metadata.packages_distributions().get(package, ()) if package != url else ():
        told = metadata.metadata(distribution)
        for field in ("License-Expression", "License"):
            if field in told and (licence := word(told[field])):
                return licence
    return ""


def word(value: object) -> str:
    """A licence's name; a whole licence's text is none."""
    return value.strip() if isinstance(value, str) and value.isprintable() and len(value) < _LONGEST else ""
