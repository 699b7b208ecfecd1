"""Talking with a service: `hall chat`, in a conversation or with one message."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from modelhall.core.errors import HallError, Rejected
from modelhall.doors.cli.terminal import Home, complain, err, out
from modelhall.doors.client import Hall

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What would move the cursor, or more, in whoever's terminal shows what a model said."""


def add_to(cli: typer.Typer) -> None:
    cli.command()(chat)


def chat(
    service: Annotated[
        str, typer.Argument(help="A service of a model that tells texts, or SERVICE:ADAPTER.")
    ],
    message: Annotated[str | None, typer.Option("--message", "-m", help="Say this, and leave.")] = None,
    system: Annotated[str | None, typer.Option("--system", help="What the model is told first.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="The longest answer.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="0 says the likeliest.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The same again for the same seed.")] = None,
    home: Home = None,
) -> None:
    """Talk with a service. Without -m and at a terminal it is a conversation (Ctrl-D ends it); what is piped in
    is said at once."""
    given = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    parameters = {name: value for name, value in given.items() if value is not None}
    with Hall(home=home) as hall:
        talk = Talk(
            lambda messages: hall.chat(service, messages, **parameters), clock=time.monotonic, system=system
        )
        if message is None and sys.stdin.isatty():
            _converse(talk)
            return
        said = message if message is not None else sys.stdin.read()
        if not said.strip():
            raise Rejected("nothing was said: give a message with -m, or pipe one in")
        talk.say(said)


@dataclass(kw_only=True)
class Timing:
    """How quickly an answer came."""

    tokens: int
    first_s: float
    whole_s: float

    def __str__(self) -> str:
        after_s = self.whole_s - self.first_s
        rate = f", {(self.tokens - 1) / after_s:.1f} tokens/s" if self.tokens > 1 and after_s > 0 else ""
        return f"{self.tokens} tokens, the first after {self.first_s:.2f} s{rate}"


@dataclass
class Talk:
    """A conversation so far."""

    ask: Callable[[list[dict[str, str]]], Any]
    """What was said → chunks of the answer."""
    clock: Callable[[], float] = field(kw_only=True)
    system: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.messages = [{"role": "system", "content": self.system}] if self.system else []

    def say(self, text: str) -> None:
        """Say something, and show what is answered as it comes. A message that was not answered was never said."""
        asked = [*self.messages, {"role": "user", "content": text}]
        answer, timing = self._hear(asked)
        self.messages = [*asked, {"role": "assistant", "content": answer}]
        err.print(str(timing), style="dim")

    def _hear(self, asked: list[dict[str, str]]) -> tuple[str, Timing]:
        begun = self.clock()
        pieces: list[str] = []
        first_s, tokens = None, 0
        for chunk in self.ask(asked):
            tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
            for choice in chunk["choices"]:
                if piece := choice["delta"].get("content"):
                    first_s = self.clock() - begun if first_s is None else first_s
                    pieces.append(piece)
                    _show(piece)
        _show("\n")
        whole_s = self.clock() - begun
        timing = Timing(tokens=tokens, first_s=whole_s if first_s is None else first_s, whole_s=whole_s)
        return "".join(pieces), timing


def _converse(talk: Talk) -> None:
    err.print("Ctrl-D ends it; /new forgets what was said", style="dim")
    while True:
        try:
            said = input("> ")
        except EOFError:
            _show("\n")
            return
        if said.strip() == "/new":
            talk.forget()
        elif said.strip():
            try:
                talk.say(said)
            except HallError as error:
                complain(error)
            except KeyboardInterrupt:
                _show("\n")  # what was being said is left off; the conversation goes on


def _show(piece: str) -> None:
    out.file.write(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", piece))
    out.file.flush()
