"""Conversations as the text a model reads, by the template of its base or by one stated here.

Only the answers are learnt, so a conversation is cut into what is given and what is answered; the cut is where a
request ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from modelhall.core.errors import Rejected
from modelhall.tasks import _chat_template

DEFAULT = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize }}: {{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""For bases without a template, and for models from scratch: `User: …`, a new line, `Assistant: …` and the end."""
ROLES = ("system", "user", "assistant", "tool")

Message = Mapping[str, str]


class Turn(NamedTuple):
    text: str
    is_answer: bool


def asked(template: str, special: Mapping[str, str], messages: Sequence[Message]) -> str:
    """A conversation up to where the answer begins. Raises Rejected."""
    return _written(template, special, messages, answer=True)


def turns(template: str, special: Mapping[str, str], messages: Sequence[Message]) -> list[Turn]:
    """A conversation cut where answers begin and end. Raises Rejected for one without any, and for a template that
    writes what came before anew with each answer."""
    found: list[Turn] = []
    told = ""
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        given = asked(template, special, messages[:place])
        whole = _written(template, special, messages[: place + 1], answer=False)
        if not given.startswith(told) or not whole.startswith(given):
            raise Rejected(
                "the base's chat template changes what came before an answer, so there is no telling what it "
                "answers; a base whose template only goes on is needed, or one without",
                field="base",
            )
        found += [Turn(given.removeprefix(told), False), Turn(whole.removeprefix(given), True)]
        told = whole
    if not found:
        raise Rejected("a conversation has no message of the assistant, so there is no answer to learn")
    return found


def _written(template: str, special: Mapping[str, str], messages: Sequence[Message], *, answer: bool) -> str:
    tokens = {f"{use}_token": word for use, word in special.items()}
    return _chat_template.write(
        template, field="base", messages=messages, add_generation_prompt=answer, **tokens
    )
