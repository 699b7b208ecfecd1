"""What a model's document is in one trial of its search: the same, with some fields set to other values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhall.core import hallfile
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Model

ROOMS = ("train", "network")


def with_values(document: Model, values: Mapping[str, Any]) -> Model:
    """The document with `values` by their dotted fields, and without its search. Raises Rejected, with the field,
    for one that is not there, or takes no such value."""
    data = document.model_dump(mode="json", exclude={"search"}, exclude_defaults=True) | {
        "kind": document.kind
    }
    for field, value in values.items():
        first, *path = field.split(".")
        if first not in ROOMS or not path:
            raise Rejected(
                f"only fields of `train` and `network` are searched, such as train.learning_rate, not {field!r}",
                field=field,
            )
        place = data.setdefault(first, {})
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise Rejected(f"{part} has nothing below it that could be searched", field=field)
        place[path[-1]] = value
    found = hallfile.document_from_json(data)
    assert isinstance(found, Model)
    return found
