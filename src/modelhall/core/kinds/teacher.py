"""`teacher`: a model that another one learns from, besides its data."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from modelhall.core.kinds.base import Frozen


class Teacher(Frozen):
    """In a hall file the model alone, `model://NAME`, or the model with options below `model`."""

    model: str = Field(description="model://NAME, or model://NAME@VERSION; in an order its artifact.")
    temperature: float = Field(
        default=2.0, gt=0, description="How much the teacher's probabilities are evened out."
    )
    alpha: float = Field(
        default=0.5, ge=0, le=1, description="What the teacher counts; the data counts the rest."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_hall_file(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value
