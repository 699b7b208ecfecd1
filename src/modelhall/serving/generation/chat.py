"""Messages to a prompt, by the model's own chat template, or by a plain one where it has none.

A template comes with a model as transformers writes it: `chat_template.jinja` beside the tokenizer, or
`chat_template` in `tokenizer_config.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelhall.core import stored_json
from modelhall.tasks import _chat_template

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
        self._source = source or PLAIN
        self._special = special
        _chat_template.check(self._source)

    def prompt(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None = None) -> str:
        """The conversation up to where the assistant speaks; raises Rejected for one that the template refuses."""
        return _chat_template.write(
            self._source, field="messages",
            messages=messages, tools=tools or None, add_generation_prompt=True, **self._special,
        )  # fmt: skip


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
