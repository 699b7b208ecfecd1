"""Requests for completions, as the OpenAI API has them: every field is checked, and one that is not understood is
refused, since a caller who sets it means something by it.

What the tokens of a prompt are, and whether they fit, is `planned.py`'s.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelhall.core import strict_json
from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean

MOST_STOPS = 4
MOST_TEXTS = 128
"""Prompts times `n`."""
LONGEST_STOP = 256
LONGEST_NAME = 256

Penalty = Field(default=0.0, ge=-2, le=2)
Given = TypeVar("Given", bound="_Part")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(_Part):
    include_usage: bool = False
    include_obfuscation: bool = False


class JsonSchema(_Part):
    name: str = Field(default="", max_length=LONGEST_NAME)
    description: str = ""
    strict: bool | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Part):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Resume(_Part):
    """What another replica told before it broke off, as the gateway says it (`resumed.py`)."""

    text: str = Field(default="", description="What the caller has.")
    tokens: list[int] = Field(
        default=[], description="Of the tokens that were told, those with this text and no others."
    )


class Asked(_Part):
    """What both ways of asking have in common."""

    model: str = Field(max_length=LONGEST_NAME)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    n: int = Field(default=1, ge=1, le=MOST_TEXTS)
    stop: str | list[str] | None = None
    seed: int | None = None
    frequency_penalty: float = Penalty
    presence_penalty: float = Penalty
    stream: bool = False
    stream_options: StreamOptions | None = None
    ignore_eos: bool = Field(
        default=False, description="Whether the text goes on where the model would end it."
    )
    resume: Resume | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def tells_usage(self) -> bool:
        """Whether a stream is to end with what it took."""
        return self.stream_options is not None and self.stream_options.include_usage


class Message(_Part):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None


class Chat(Asked):
    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto"] = "auto"
    parallel_tool_calls: bool | None = None

    @property
    def alternatives(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def most(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class Completion(Asked):
    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: int | None = Field(default=None, ge=0, le=5)
    echo: bool = False
    best_of: int | None = Field(default=None, ge=1)

    @property
    def alternatives(self) -> int | None:
        return self.logprobs

    @property
    def is_scored(self) -> bool:
        """Whether the prompt's own probabilities are wanted."""
        return self.echo and self.logprobs is not None

    @property
    def most(self) -> int | None:
        return self.max_tokens or 16  # the protocol's own default


class Embeddings(_Part):
    """What is asked of texts as vectors."""

    model: str = Field(max_length=LONGEST_NAME)
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)
    user: str | None = None


def read(body: bytes, form: type[Given]) -> Given:
    """The request in a body; raises Rejected, which names the field that is wrong."""
    value = strict_json.loads(body)
    if not isinstance(value, dict):
        raise Rejected("the body is a JSON object")
    try:
        asked = form.model_validate({name: part for name, part in value.items() if part is not None})
    except ValidationError as error:
        raise _refusal(error, form) from None
    if isinstance(asked, Asked):
        _check_stops(asked.stops)
    if isinstance(asked, Completion):
        _check_completion(asked)
    return asked


def _check_stops(stops: list[str]) -> None:
    if len(stops) > MOST_STOPS or not all(0 < len(stop) <= LONGEST_STOP for stop in stops):
        raise Rejected(
            f"at most {MOST_STOPS} stop sequences, each of 1 to {LONGEST_STOP} characters", field="stop"
        )


def _check_completion(asked: Completion) -> None:
    if asked.best_of not in (None, asked.n):
        raise Rejected(f"all texts are returned: best_of is n ({asked.n})", field="best_of")


def _refusal(error: ValidationError, form: type[_Part]) -> Rejected:
    mistake = error.errors()[0]
    field = ".".join(str(part) for part in mistake["loc"])[:LONGEST_NAME]
    if mistake["type"] == "extra_forbidden" and len(mistake["loc"]) == 1:
        known = {one.alias or name for name, one in form.model_fields.items()}
        return Rejected(f"no parameter {field!r} here; {did_you_mean(field, known)}", field=field)
    return Rejected(f"{mistake['msg']}, not {str(mistake['input'])[:80]!r}", field=field)
