"""Preparation steps as people write them and as they travel."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import Dataset
from modelhall.core.kinds.dataset import Step


@pytest.mark.parametrize(
    ("written", "name", "options"),
    [
        ("clean", "clean", {}),
        ({"clean": None}, "clean", {}),
        ({"clean": {}}, "clean", {}),
        ({"clean": {"strip_html": True}}, "clean", {"strip_html": True}),
        ({"name": {"as": "x"}}, "name", {"as": "x"}),
        ({"name": "clean"}, "clean", {}),
        ({"name": "clean", "options": {"strip_html": True}}, "clean", {"strip_html": True}),
    ],
)
def test_a_step_is_read_in_each_of_its_forms_and_travels_unchanged(
    written: Any, name: str, options: dict[str, Any]
) -> None:
    document = document_from_json({"kind": "dataset", "name": "d", "source": "x", "prepare": [written]})
    assert isinstance(document, Dataset)
    assert document.prepare == (Step(name=name, options=options),)
    sent = document.model_dump(mode="json", exclude_defaults=True) | {"kind": "dataset"}
    assert document_from_json(sent) == document


@pytest.mark.parametrize(
    "written", [{}, {"clean": {}, "split": {}}, {"clean": 3}, {"name": "clean", "more": 1}, 3, []]
)
def test_what_is_no_step_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        Step.model_validate(written)
