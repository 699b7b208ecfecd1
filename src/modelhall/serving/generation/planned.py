"""From what was asked to the texts to tell: prompts as tokens, within the model's context, and how each goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

from modelhall.core.errors import Rejected
from modelhall.serving.engines import Generator, Sampling
from modelhall.serving.generation.asked import MOST_TEXTS, Chat, Completion, Message, Resume
from modelhall.serving.generation.chat import ChatTemplate
from modelhall.serving.generation.resumed import can_be_resumed, told_before
from modelhall.serving.generation.worker import Wanted

_SEEDS = 2**31


@dataclass(frozen=True, kw_only=True)
class Teller:
    """All that is known of the model that tells."""

    tokenizer: Tokenizer
    ends: frozenset[int]
    length: int
    """Tokens of a prompt and of what follows it together."""
    template: ChatTemplate
    engine: Generator
    version: str
    adapter: str = ""
    """By which of the engine's adapters it tells, if by one."""

    @cached_property
    def longest_token(self) -> int:
        return max(map(len, self.tokenizer.get_vocab(with_added_tokens=True)))


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A request ready to be told."""

    prompts: Sequence[Sequence[int]]
    wanted: Sequence[Wanted]
    """`n` texts for each prompt, in order."""
    stops: Sequence[str]
    resumable: bool
    """Whether another replica could go on with it; if this one was to go on, whether it does."""

    @property
    def told(self) -> Sequence[int]:
        """What another replica told of it before."""
        return self.wanted[0].sampling.told

    @property
    def tokens_in(self) -> int:
        return sum(map(len, self.prompts))


def plan(asked: Chat | Completion, teller: Teller, draw: Callable[[int], int]) -> Planned:
    """Raises Rejected for what does not fit this model or its engine. `draw` gives a number below another, for those
    who name no seed."""
    _check_engine(asked, teller.engine)
    if isinstance(asked, Chat):
        prompts, stops = [_of_chat(asked, teller)], [*asked.stops, *teller.template.stops]
    else:
        prompts, stops = read_texts(asked.prompt, teller, "prompt"), asked.stops
    if len(prompts) * asked.n > MOST_TEXTS:
        raise Rejected(f"at most {MOST_TEXTS} texts at once: prompts times n", field="n")
    seed = draw(_SEEDS) if asked.seed is None else asked.seed % _SEEDS
    wanted = [
        Wanted(prompt, _sampling(asked, teller, len(prompt), seed + place))
        for prompt in prompts
        for place in range(asked.n)
    ]
    resumable = len(wanted) == 1 and can_be_resumed(asked, wanted[0].sampling, teller.engine)
    if asked.resume is not None:
        wanted = [_resumed(one, asked.resume, teller, stops) if resumable else one for one in wanted]
        resumable = bool(wanted[0].sampling.told)
    return Planned(prompts=prompts, wanted=wanted, stops=stops, resumable=resumable)


def _resumed(wanted: Wanted, resume: Resume, teller: Teller, stops: Sequence[str]) -> Wanted:
    """The text behind what another replica told of it, or from its beginning."""
    told = told_before(resume, wanted.sampling, teller.tokenizer, stops)
    return wanted._replace(sampling=replace(wanted.sampling, told=told))


def read_texts(given: Any, teller: Teller, field: str) -> list[list[int]]:
    """One or several texts, each as text or as tokens, as the protocol lets them be written. Raises Rejected."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        given = [given]
    if not given:
        raise Rejected(f"there is no {field}", field=field)
    return [
        _tokens(one, teller, field, special=True) if isinstance(one, str) else _checked(one, teller, field)
        for one in given
    ]


def _check_engine(asked: Chat | Completion, engine: Generator) -> None:
    if (asked.alternatives or 0) > engine.alternatives:
        raise Rejected(
            f"the engine of this service tells the probabilities of {engine.alternatives} further tokens at most, "
            f"not of {asked.alternatives}",
            field="logprobs" if isinstance(asked, Completion) else "top_logprobs",
        )
    if (asked.frequency_penalty or asked.presence_penalty) and not engine.penalties:
        raise Rejected(
            "the engine of this service has no penalties as the protocol means them; `engine: torch` has",
            field="frequency_penalty" if asked.frequency_penalty else "presence_penalty",
        )
    if isinstance(asked, Completion) and asked.is_scored and not engine.scores:
        raise Rejected(
            "the engine of this service does not tell a prompt's own probabilities: leave out echo or logprobs; "
            "`engine: torch` does",
            field="echo",
        )
    if isinstance(asked, Chat) and _schema(asked) is not None and not engine.schemas:
        raise Rejected(
            "the engine of this service cannot be held to a schema; one with `engine: openvino-genai` can",
            field="response_format",
        )


def _schema(asked: Chat) -> str | None:
    form = asked.response_format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return '{"type": "object"}'
    if form.json_schema is None:
        raise Rejected("a json_schema is missing", field="response_format.json_schema")
    return json.dumps(form.json_schema.schema_)


def _sampling(asked: Chat | Completion, teller: Teller, tokens: int, seed: int) -> Sampling:
    room = teller.length - tokens
    most = asked.most or room
    if most > room:
        raise Rejected(
            f"this model's maximum context length is {teller.length} tokens; the prompt has {tokens}, and {most} "
            "more were asked for",
            field="max_tokens",
        )
    return Sampling(
        most=most,
        ends=frozenset() if asked.ignore_eos else teller.ends,
        temperature=asked.temperature,
        top_p=asked.top_p,
        seed=seed,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        logprobs=asked.alternatives,
        schema=_schema(asked) if isinstance(asked, Chat) else None,
        adapter=teller.adapter,
    )


def _of_chat(asked: Chat, teller: Teller) -> list[int]:
    tools = asked.tools if asked.tool_choice == "auto" else None
    if tools and not teller.template.takes_tools:
        raise Rejected("the chat template of this model has no place for tools", field="tools")
    prompt = teller.template.prompt([_spoken(message) for message in asked.messages], tools)
    return _tokens(prompt, teller, "messages", special=False)


def _spoken(message: Message) -> dict[str, Any]:
    """A message as templates expect it: its content in one piece of text."""
    content = message.content
    if isinstance(content, list):
        if any(part.get("type") != "text" or not isinstance(part.get("text"), str) for part in content):
            raise Rejected("this model reads text alone: parts of the type text", field="messages.content")
        content = "".join(part["text"] for part in content)
    if content is None and message.role != "assistant":
        raise Rejected(f"a message of the role {message.role} has no content", field="messages.content")
    role = "system" if message.role == "developer" else message.role
    more = {"name": message.name, "tool_calls": message.tool_calls, "tool_call_id": message.tool_call_id}
    return {"role": role, "content": content or "", **{key: value for key, value in more.items() if value}}


def _tokens(text: str, teller: Teller, field: str, *, special: bool) -> list[int]:
    if len(text) > teller.length * teller.longest_token:
        raise _too_long(f"at least {len(text) // teller.longest_token}", teller, field)
    ids: list[int] = teller.tokenizer.encode(text, add_special_tokens=special).ids
    ids = ids or sorted(teller.ends)[:1]  # nothing at all: what stands before every text
    if not ids:
        raise Rejected("there is nothing to go on from", field=field)
    if len(ids) >= teller.length:
        raise _too_long(str(len(ids)), teller, field)
    return ids


def _checked(ids: list[int], teller: Teller, field: str) -> list[int]:
    """A text that came as tokens."""
    words = teller.tokenizer.get_vocab_size(with_added_tokens=True)
    if not ids or not all(0 <= id < words for id in ids):
        raise Rejected(f"a text in tokens has at least one, each from 0 to {words - 1}", field=field)
    if len(ids) >= teller.length:
        raise _too_long(str(len(ids)), teller, field)
    return ids


def _too_long(tokens: str, teller: Teller, field: str) -> Rejected:
    return Rejected(
        f"this model's maximum context length is {teller.length} tokens, and the prompt has {tokens}; shorten it",
        field=field,
    )
