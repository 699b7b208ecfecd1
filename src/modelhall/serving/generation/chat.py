"""Messages to a prompt, by the model's own chat template, or by a plain one where it has none.

A template is a Jinja program that comes with a model, as transformers writes it: `chat_template.jinja` beside the
tokenizer, or `chat_template` in `tokenizer_config.json`. It runs in Jinja's sandbox, with what transformers gives it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from modelhall.core import stored_json
from modelhall.core.errors import Rejected

PLAIN = """\
{% for message in messages %}{{ message.role }}: {{ message.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"""
"""For models that know no roles: who says what, a line each, and whose turn it is."""
PLAIN_STOPS = ("\nuser:", "\nsystem:")
"""Where the model would begin to speak for others."""
MOST_BYTES = 1 << 20


class ChatTemplate:
    """A model's way to write a conversation."""

    def __init__(self, source: str | None, special: Mapping[str, str]) -> None:
        """`special` are the tokens that templates name, such as `eos_token`. Raises Rejected for what is no
        template."""
        self.stops = () if source else PLAIN_STOPS
        self.takes_tools = "tools" in (source or "")
        self._special = special
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _as_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
        try:
            self._template = environment.from_string(source or PLAIN)
        except jinja2.TemplateError as error:
            raise Rejected(f"the chat template of the model is no Jinja: {error}") from None

    def prompt(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None = None) -> str:
        """The conversation up to where the assistant speaks; raises Rejected for one that the template refuses."""
        try:
            return self._template.render(
                messages=messages, tools=tools or None, add_generation_prompt=True, **self._special
            )
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, OverflowError) as error:
            raise Rejected(
                f"the chat template of the model refuses this: {error}", field="messages"
            ) from None


def template_of(folder: Path) -> ChatTemplate:
    """The template stored with a model's tokenizer; raises Rejected for one that is none."""
    found = folder / "tokenizer_config.json"
    config = stored_json.read(found) if found.exists() else {}
    special = {name: _word(value) for name, value in config.items() if name.endswith("_token")}
    own = folder / "chat_template.jinja"
    if own.exists():
        with own.open("rb") as file:
            source: Any = file.read(MOST_BYTES).decode(errors="replace")
    else:
        source = config.get("chat_template")
    return ChatTemplate(source if isinstance(source, str) else None, special)


def _word(token: Any) -> str:
    """A special token, which some files have as an object."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _as_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
