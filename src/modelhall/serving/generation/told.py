"""What is told, in the words of the OpenAI API: as events while it comes, or as one answer.

After every event stands a comment: how many tokens were read and told up to it, the processor seconds they took, and
once the engine has told so, how many of those read it had read before.
Clients pass over comments; the gateway meters by the last one it saw, wherever a stream ends. Within an event, a
comment names its tokens, where another replica could go on behind them (`resumed.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer

from modelhall.serving.engines import Token
from modelhall.serving.generation.asked import Chat, Completion
from modelhall.serving.generation.planned import Planned
from modelhall.serving.generation.text import Text

DONE = "[DONE]"


@dataclass(kw_only=True)
class _Choice:
    """One of the texts."""

    text: Text
    pieces: list[str] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    """Those with probabilities, where they were asked for."""
    ids: list[int] = field(default_factory=list)
    """What was told since the last event."""
    finish: str | None = None


class Telling:
    """One request's texts."""

    def __init__(
        self,
        asked: Chat | Completion,
        planned: Planned,
        tokenizer: Tokenizer,
        *,
        id: str,
        created: int,
        version: str,
        scored: Sequence[Sequence[Token]] = (),
    ) -> None:
        """`scored` are the tokens of each prompt with their probabilities, where those are wanted."""
        self.tokens_in = planned.tokens_in
        self.tokens_out = len(planned.told)
        self.tokens_cached: int | None = None
        """Of those read, as many as the engine had read before; None as long as it does not tell."""
        self._prompts = planned.prompts
        self._names_tokens = planned.resumable
        self._asked = asked
        self._tokenizer = tokenizer
        self._is_chat = isinstance(asked, Chat)
        self._choices = [_Choice(text=Text(tokenizer, planned.stops)) for _ in planned.wanted]
        self._about = {
            "id": f"{'chatcmpl' if self._is_chat else 'cmpl'}-{id}", "created": created, "model": asked.model,
            "system_fingerprint": version[:12],
        }  # fmt: skip
        if isinstance(asked, Completion) and asked.echo:
            for place, choice in enumerate(self._choices):
                choice.pieces.append(tokenizer.decode(list(planned.prompts[place // asked.n])))
                choice.tokens += scored[place // asked.n] if scored else ()
        self._counts_end = bool(scored)
        """Whether the token that ends a text is told among the others: who reads a prompt's counts on one more."""
        if planned.told:
            self._go_on_behind(planned.told)

    @property
    def is_over(self) -> bool:
        return all(choice.finish is not None for choice in self._choices)

    def feed(self, place: int, token: Token) -> bool:
        """One token more of a text; whether the text has come to a stop that the engine does not know of."""
        choice = self._choices[place]
        if choice.finish is not None:
            return False  # told after it was stopped, before the engine heard of that
        self.tokens_out += 1
        self._take_cached(place, token)
        choice.ids.append(token.id)
        if self._asked.alternatives is not None and (token.end != "stop" or self._counts_end):
            choice.tokens.append(token)
        piece = "" if token.end == "stop" else choice.text.feed(token.id)
        if token.end is not None:
            piece += choice.text.finish()
        if piece:
            choice.pieces.append(piece)
        choice.finish = "stop" if choice.text.stopped else token.end
        return choice.text.stopped and token.end is None

    def _take_cached(self, place: int, token: Token) -> None:
        """A prompt is read once, however many texts follow it, and what another replica told is no part of it."""
        if token.cached is not None and place % self._asked.n == 0:
            read = len(self._prompts[place // self._asked.n])
            self.tokens_cached = (self.tokens_cached or 0) + min(token.cached, read)

    def _go_on_behind(self, told: Sequence[int]) -> None:
        """Have what another replica told before, and tell of it only what the caller does not have."""
        assert self._asked.resume is not None
        (choice,) = self._choices
        text = "".join(choice.text.feed(id) for id in told)
        choice.pieces.append(text[len(self._asked.resume.text) :])

    def begin(self) -> list[dict[str, Any]]:
        """The first events: in a chat that begins, who speaks; else nothing but what is echoed."""
        if self._is_chat and self._asked.resume is None:
            nothing = {"logprobs": None, "finish_reason": None}
            return [
                {"index": place, "delta": {"role": "assistant", "content": ""}, **nothing}
                for place in range(len(self._choices))
            ]
        return self.changed(range(len(self._choices)))

    def changed(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """What is new of these texts, and forget it."""
        return [shown for place in places if (shown := self._news(place)) is not None]

    def event(self, choices: Sequence[dict[str, Any]], compute_s: float) -> bytes:
        """A server-sent event, and what was taken up to it."""
        more = {"usage": None} if self._asked.tells_usage else {}
        return self._accounted({"choices": choices, **more}, compute_s, self._tokens_since())

    def last_events(self, compute_s: float) -> bytes:
        """What ends a stream: the usage, if it was asked for, and the protocol's last word."""
        if not self._asked.tells_usage:
            return _framed(DONE)
        return self._accounted({"choices": [], "usage": self.usage()}, compute_s) + _framed(DONE)

    def whole(self, compute_s: float) -> dict[str, Any]:
        """The answer in one piece. Its last words are the usage and the seconds, for the gateway as well."""
        kind = "chat.completion" if self._is_chat else "text_completion"
        choices = [self._shown(place) for place in range(len(self._choices))]
        usage = {**self.usage(), "compute_s": round(compute_s, 6)}
        return {**self._about, "object": kind, "choices": choices, "usage": usage}

    def usage(self) -> dict[str, Any]:
        cached = self.tokens_cached
        return {
            "prompt_tokens": self.tokens_in,
            "completion_tokens": self.tokens_out,
            "total_tokens": self.tokens_in + self.tokens_out,
            **({"prompt_tokens_details": {"cached_tokens": cached}} if cached is not None else {}),
        }

    def _tokens_since(self) -> str:
        """The comment that names the tokens of an event."""
        if not self._names_tokens:
            return ""
        (choice,) = self._choices
        ids = ",".join(map(str, choice.ids))
        choice.ids.clear()
        return f"\n:+{ids}"

    def _accounted(self, said: Mapping[str, Any], compute_s: float, tokens: str = "") -> bytes:
        kind = "chat.completion.chunk" if self._is_chat else "text_completion"
        cached = "" if self.tokens_cached is None else f" {self.tokens_cached}"
        account = f": {self.tokens_in} {self.tokens_out} {compute_s:.6f}{cached}\n\n"
        return _framed(_text({**self._about, "object": kind, **said}) + tokens) + account.encode()

    def _news(self, place: int) -> dict[str, Any] | None:
        choice = self._choices[place]
        if not choice.pieces and not choice.tokens and choice.finish is None:
            return None
        text = "".join(choice.pieces)
        about = {"logprobs": self._logprobs(choice.tokens), "finish_reason": choice.finish}
        choice.pieces.clear()
        choice.tokens.clear()
        if self._is_chat:
            return {"index": place, "delta": {"content": text} if text else {}, **about}
        return {"index": place, "text": text, **about}

    def _shown(self, place: int) -> dict[str, Any]:
        choice = self._choices[place]
        text = "".join(choice.pieces)
        about = {"logprobs": self._logprobs(choice.tokens), "finish_reason": choice.finish}
        if self._is_chat:
            message = {"role": "assistant", "content": text, "refusal": None}
            return {"index": place, "message": message, **about}
        return {"index": place, "text": text, **about}

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        if self._asked.alternatives is None:
            return None
        if self._is_chat:
            content = [
                {
                    **self._told(token.id, token.logprob),
                    "top_logprobs": [self._told(id, logprob) for id, logprob in token.top],
                }
                for token in tokens
            ]
            return {"content": content, "refusal": None}
        words = [self._word(token.id) for token in tokens]
        return {
            "tokens": words,
            "token_logprobs": [None if math.isnan(token.logprob) else token.logprob for token in tokens],
            "top_logprobs": [
                None if math.isnan(token.logprob) else {self._word(id): logprob for id, logprob in token.top}
                for token in tokens
            ],
            "text_offset": [sum(map(len, words[:place])) for place in range(len(words))],
        }

    def _told(self, id: int, logprob: float) -> dict[str, Any]:
        word = self._word(id)
        return {"token": word, "logprob": logprob, "bytes": None if "\ufffd" in word else list(word.encode())}

    def _word(self, id: int) -> str:
        return self._tokenizer.decode([id], skip_special_tokens=False)


def _framed(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
