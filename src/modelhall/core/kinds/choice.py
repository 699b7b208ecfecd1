"""A plug-in that is chosen by name, with its options: `adamw`, or `adamw: {beta2: 0.95}`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, model_validator

from modelhall.core.kinds.base import Frozen


class Choice(Frozen):
    """In a hall file a name, or a name with options below it."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_hall_file(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and not isinstance(value.get("name"), str):
            if len(value) != 1:
                raise ValueError("one name is expected, such as `clean`, or `clean: {drop_empty: true}`")
            ((name, options),) = value.items()
            return {"name": name, "options": options or {}}
        return value


AS_WRITTEN = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "object", "additionalProperties": {"type": "object"}, "maxProperties": 1},
        ]
    }
)
"""A choice, told to editors as people write it."""

WrittenChoice = Annotated[Choice, AS_WRITTEN]
