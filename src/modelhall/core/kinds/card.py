"""`card:` of a model: what only people know of it, for its model card."""

from __future__ import annotations

from pydantic import Field

from modelhall.core.kinds.base import Frozen


class Card(Frozen):
    use: str = Field(default="", max_length=10_000, description="What it is meant for.")
    limits: str = Field(default="", max_length=10_000, description="What it is not meant for, and cannot do.")
    licence: str = Field(default="", max_length=1_000, description="Of the model, such as Apache-2.0.")
    base_licence: str = Field(default="", max_length=1_000, description="Of what it was made from.")
